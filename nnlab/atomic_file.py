"""Atomic file: bytes that are on the disk whole or not at all, whatever dies while they are written."""

from __future__ import annotations

import os
from pathlib import Path

from nnlab.errors import naming


def write(path: Path, data: bytes) -> None:
    """Replace a file, or make it; until all is on the disk, what was there stands.

    Raises:
        OSError: the file system refuses; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until its bytes are on the disk; its name may not be: see ``sync_directory``."""
    with naming(path), path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    if os.name == "nt":  # Windows can't open a directory
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_names(path: Path) -> None:
    """Wait until a path's own name is on the disk, and the names of all folders that it is in.

    What we may not write is left out: nobody of us has made anything there.
    """
    for folder in path.absolute().parents:
        if not os.access(folder, os.W_OK):
            return
        sync_directory(folder)
