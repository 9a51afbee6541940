"""Locks on open files: held until the file is closed or the process is gone, however it ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from nnlab.errors import NnlabError

if sys.platform == "win32":
    import msvcrt

    # A Windows lock keeps others from reading the locked bytes, so one byte far behind the end of the file is taken.
    _FAR = 1 << 40

    def try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - Windows has exclusive locks only
        """Lock the file if nobody else holds it; say whether it worked."""
        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Lock the file if nobody else holds it; say whether it worked.

        Args:
            fd: an open file.
            shared: others may hold it shared as well; used for looking only.
        """
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def lock(fd: int, seconds: float) -> bool:
    """Try for that long to lock the file; say whether it worked."""
    deadline = time.monotonic() + seconds
    while not try_lock(fd):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Say whether some process holds the lock of that file; a file that isn't there is not locked."""
    try:
        fd = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def taken(path: Path) -> NnlabError:
    """Return what to say to a second writer of a run's record."""
    pid = holder(path)
    by = f"another process{f' (pid {pid})' if pid else ''}"
    return NnlabError(f"{path} is being written by {by}: a run has one trainer at a time")


def holder(path: Path) -> int | None:
    """Return which process holds the lock of a file, where the system tells: Linux does, of processes that it shows."""
    try:
        inode = path.stat().st_ino
        rows = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        held = (row for row in rows if row[1] == "FLOCK" and row[3] == "WRITE" and row[5].endswith(f":{inode}"))
        return next((int(row[4]) for row in held), None)
    except (OSError, ValueError, IndexError):
        return None
