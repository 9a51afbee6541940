"""Staging: a folder of the outputs root where an import puts what it has not yet checked, ``.import``.

Nothing looks for runs there. One import at a time has it, and clears away what a killed one has left in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnlab import checkpoint, locks
from nnlab.errors import NnlabError

NAME = ".import"

_LOCK = "lock"


@contextmanager
def staging(outputs: Path) -> Iterator[Path]:
    """Give an empty folder, and delete it in the end, and an outputs root that was made for it and is empty.

    Args:
        outputs: the outputs root; made if it isn't there.

    Raises:
        NnlabError: another import is at work there.
        OSError: the file system refuses.
    """
    is_new = not outputs.exists()
    folder = outputs / NAME
    fd = _take(folder)
    try:
        for left_behind in folder.iterdir():
            if left_behind.name != _LOCK:
                checkpoint.delete(left_behind)
        work = folder / "work"
        work.mkdir()
        yield work
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)
        if is_new:
            with suppress(OSError):
                outputs.rmdir()


def is_at_work(outputs: Path) -> bool:
    """Say whether an import is."""
    return locks.is_locked(outputs / NAME / _LOCK)


def _take(folder: Path) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # another one has just ended, and taken its folder along
            continue
        if not locks.try_lock(fd):
            os.close(fd)
            raise NnlabError(
                f"another `nnlab import` is at work in {folder.parent}: wait until it has ended", exit_code=1
            )
        with suppress(FileNotFoundError):
            if os.path.samestat((folder / _LOCK).stat(), os.fstat(fd)):
                return fd
        os.close(fd)
