"""Tracker lock: makes a tracker the only one of its outputs root and store."""

from __future__ import annotations

import os
from pathlib import Path

from nnlab import locks
from nnlab.tracking.follower import lock_path


class TrackerLock:
    """The lock of a tracker; leaving the ``with`` block releases it.

    Args:
        outputs: the outputs root.
        uri: of the store.
    """

    def __init__(self, outputs: Path, uri: str) -> None:
        outputs.mkdir(parents=True, exist_ok=True)
        self._path = lock_path(outputs, uri)
        self._fd: int | None = None

    def __enter__(self) -> TrackerLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self, seconds: float) -> bool:
        """Try for that long to get it; say whether it worked."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if locks.lock(fd, seconds):
            self._fd = fd
            return True
        os.close(fd)
        return False

    def release(self) -> None:
        """Let go of it, if it is ours."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
