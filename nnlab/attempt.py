"""Attempt: which of the workers that have begun a run, one after the other, a directory is of.

A worker of a cluster may be gone before a run's end, and another one begins it again in a directory of its own. Each
time that a run is begun there, or gone on with, it gets a new id, in a file beside the journal. The store knows the
last one: see ``nnlab.tracking.attempts``.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from nnlab import atomic_file, regular_file

_NAME = ".attempt"
_BYTES = 64


def begin(directory: Path) -> None:
    """Begin another attempt at the run of a directory, which is made if need be.

    Raises:
        OSError: the file system refuses.
    """
    directory.mkdir(parents=True, exist_ok=True)
    atomic_file.write(directory / _NAME, uuid.uuid4().hex.encode())


def of(directory: Path) -> str | None:
    """Return the id of the last attempt; None for a run that is begun once, in one place."""
    if not (directory / _NAME).is_file():
        return None
    return regular_file.read(directory / _NAME, _BYTES).decode("ascii", "replace")
