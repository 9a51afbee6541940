"""Reports: how training goes in other processes, a line of JSON each in a file that lives as long as its reader.

The reader makes the file in the sweep's directory and holds its lock as long as it wants the runs to be trained. So who
reports can see whether there still is a reader, however that ended. Each line is a single ``write`` to a file opened
for appending: unlike a queue, it can't be left locked by a process that is killed.

    {"epochs": 640}                                        trained since the last line, summed over a stack's runs
    {"ended": DIRECTORY, "status": ..., "reason": ..., "left": 12}    a run was closed so many epochs before its end
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from nnlab import locks
from nnlab.training import EpochResult
from nnlab.watcher import Outcome

_PREFIX, _SUFFIX = ".progress-", ".jsonl"
_SECONDS = 0.2  # between two lines of a reporter
_SHARE = 500  # or this part of the time so far, that days of training don't make a long file
_LONGEST = 2000  # characters of a reason; the journal has it whole


class Reporter:
    """The writing end, a ``Watcher``; what can't be written is left out, for the journals tell the same.

    Args:
        path: of the reader's file.

    Raises:
        OSError: there is no such file any more.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
        self._epochs = 0
        self._started = self._reported = time.monotonic()

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._epochs:
            self._report()
        os.close(self._fd)

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:  # noqa: ARG002 - of a ``Watcher``
        """Count an epoch of so many runs, and report it if it is time to."""
        self._epochs += runs if result.epoch else 0  # epoch 0 is an evaluation
        now = time.monotonic()
        if now - self._reported > max(_SECONDS, (now - self._started) / _SHARE):
            self._reported = now
            self._report()

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        """Report the end of a run."""
        reason = outcome.reason[:_LONGEST] if outcome.reason else None
        self._report(ended=str(directory), status=outcome.status, reason=reason, left=epochs_left)

    def has_reader(self) -> bool:
        """Say whether the reader wants the runs still to be trained."""
        return not locks.try_lock(self._fd, shared=True)

    def _report(self, **of_run: Any) -> None:
        line = json.dumps({"epochs": self._epochs, **of_run}, separators=(",", ":")) + "\n"
        with contextlib.suppress(OSError):
            os.write(self._fd, line.encode())
        self._epochs = 0


class Reports:
    """The reading end.

    Args:
        directory: of the sweep, where the file is made; it is deleted in the end.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for left_behind in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
            if not locks.is_locked(left_behind):
                left_behind.unlink(missing_ok=True)
        fd, name = tempfile.mkstemp(_SUFFIX, _PREFIX, directory)
        self._fd: int | None = fd
        self.path = Path(name)
        self._file = self.path.open("rb")
        self._torn = b""
        locks.lock(fd, seconds=1)

    def __enter__(self) -> Reports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self._file.close()
        self.path.unlink(missing_ok=True)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the lines since the last call."""
        *lines, self._torn = (self._torn + self._file.read()).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # a disk that was full for a moment has torn it
                report = json.loads(line)
                if _is_ours(report):
                    yield report

    def let_go(self) -> None:
        """Let go of the lock: whoever reports ends its runs; what it reports until then can still be read."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None


def _is_ours(report: Any) -> bool:
    of_end: dict[str, Any] = {"ended": str, "status": str, "reason": (str, type(None)), "left": int}
    return (
        isinstance(report, dict)
        and isinstance(report.get("epochs"), int)
        and ("ended" not in report or all(isinstance(report.get(key, 0.0), kind) for key, kind in of_end.items()))
    )
