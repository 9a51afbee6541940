"""Clock: the time of day that a run is recorded with, which never goes back and never stands still."""

from __future__ import annotations

import time


class Clock:
    """Milliseconds since 1970 by the system's clock, as long as that runs forward.

    Where it was set back, while a run trains or before it is resumed, time goes on from the last one that was given, at
    the speed of the monotonic clock, until the system's clock has caught up. So no line of a journal is older than the
    one before it, and nothing lasts less than no time.

    Args:
        last: no time before this one is given, ms since 1970.
    """

    def __init__(self, last: int = 0) -> None:
        self._last, self._read = last * 1_000_000, time.monotonic_ns()

    def now(self) -> int:
        """Return the time."""
        read = time.monotonic_ns()
        self._last, self._read = max(time.time_ns(), self._last + read - self._read), read
        return self._last // 1_000_000
