"""Seal: a file's last 64 bytes, which are the SHA-256 of all before them: ``head -c -64 FILE | sha256sum``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

from nnlab.errors import NnlabError

BYTES = 64

Progress = Callable[[int], None]
"""Takes how many bytes have been done since it was last told."""

_PIECE = 1 << 20  # bytes at a time
_HEX = frozenset(b"0123456789abcdef")


def put(file: BinaryIO) -> None:
    """Seal a file over its last bytes, which keep the place free."""
    found = _hash(file, file.seek(0, os.SEEK_END) - BYTES, lambda _: None)
    file.seek(-BYTES, os.SEEK_END)
    file.write(found.encode())


def check(file: BinaryIO, progress: Progress) -> None:
    """Check the seal of what should be a sealed zip file.

    Raises:
        NnlabError: it is none, or not as it was sealed.
    """
    size = file.seek(0, os.SEEK_END) - BYTES
    file.seek(max(0, size))
    sealed = file.read(BYTES)
    file.seek(0)
    if file.read(4) != b"PK\x03\x04":
        raise NnlabError("it is no archive that `nnlab export` has made")
    if size < BYTES or not set(sealed) <= _HEX:
        raise NnlabError("it was not made by `nnlab export`, or has lost its end: copy it again")
    if _hash(file, size, progress).encode() != sealed:
        raise NnlabError("it is damaged, as its SHA-256 is not the one at its end: copy it again")


def _hash(file: BinaryIO, size: int, progress: Progress) -> str:
    """Return the SHA-256 of a file's first bytes."""
    file.seek(0)
    found = hashlib.sha256()
    while size and (piece := file.read(min(_PIECE, size))):
        found.update(piece)
        size -= len(piece)
        progress(len(piece))
    return found.hexdigest()
