"""Display: how far the reading or writing of an archive has come, on a terminal and if it takes long."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from nnlab import terminal

_SECONDS = 1.0  # that nobody needs to be told of
_REFRESH_SECONDS = 0.1


class Display:
    """A bar of bytes; a context manager.

    Args:
        title: what is done.
        total: bytes.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._console = terminal.console()
        self._bar: Progress | None = None
        self._next = time.monotonic() + _SECONDS

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, done: int) -> None:
        """Count so many more bytes, and show it if it is time to."""
        self._done += done
        if not self._console.is_terminal or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _REFRESH_SECONDS
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                DownloadColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done)
