"""SweepProgress: what a sweep shows while it trains: one bar on a terminal, a few lines in a pipe or a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from nnlab import terminal
from nnlab.one_line import one_line
from nnlab.training import EpochResult
from nnlab.watcher import Outcome

_REFRESH_SECONDS = 0.1
_LINES = 20  # about so many, where there is no terminal
_LINE_SECONDS = 1.0  # and at least so long from one to the next


class SweepProgress:
    """Shows how far a sweep is, and each failure as it happens; a context manager and a ``Watcher``.

    Args:
        directory: of the sweep; what its workers report goes through a file there.
        title: of it.
        console: where to; by default the standard output.
        jobs: how many there will be in all, where that is more than have begun.

    Attributes:
        outcomes: number of a job -> how it ended, of those that have.
    """

    def __init__(self, directory: Path, title: str = "sweep", console: Console | None = None, jobs: int = 0) -> None:
        self.directory, self.title = directory, title
        self.outcomes: dict[int, Outcome] = {}
        self.console = console or terminal.console()
        self._jobs: dict[Path, tuple[int, str]] = {}
        self._in_all = jobs
        self._done = self._total = 0  # epochs, summed over the runs
        self._timed = 0  # those that the speed is measured with: starting processes is no training
        self._begun = self._started = self._shown = time.monotonic()
        self._next = 0.0  # the share done at which the next line is due
        self._closing: tuple[float, int] | None = None  # when the last epoch was done, and how many runs had ended then
        self._bar: Bar | None = None
        if self.console.is_terminal:
            name, text = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[text]}")
            self._bar = Bar(name, BarColumn(bar_width=12), text, console=self.console)
            self._task = self._bar.add_task(title, total=None, text="")

    def __enter__(self) -> SweepProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if len(self.outcomes) < max(self._in_all, len(self._jobs)):  # interrupted: the last word on how far it is
            self._show(is_last=True)
        if self._bar:
            self._bar.stop()

    def begin(self, jobs: Mapping[Path, tuple[int, str]], epochs: int) -> None:
        """Take what is going to be trained.

        Args:
            jobs: directory -> number and name.
            epochs: of all of them together.
        """
        self._jobs |= jobs
        self._total += epochs
        self._show()

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:  # noqa: ARG002 - of a ``Watcher``
        """Count an epoch of so many runs."""
        self.trained(runs if result.epoch else 0)

    def trained(self, epochs: int) -> None:
        """Count epochs; fewer than none are to be trained again, as a worker was killed that had not saved them."""
        if not self._done:
            self._started = time.monotonic()
        elif epochs > 0:
            self._timed += epochs
        if epochs < 0:
            self._total -= epochs
        else:
            self._done += epochs
        self._show()

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        """Count the end of a run, and print a failure."""
        number, name = self._jobs[directory]
        self.outcomes[number] = outcome
        self._total = max(self._done, self._total - epochs_left)
        if outcome.status == "FAILED":
            self._print(f"job {number}{f' ({name})' if name else ''} FAILED: {one_line(str(outcome.reason))}")
        self._show(is_last=len(self.outcomes) == max(self._in_all, len(self._jobs)))

    def take(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """Count what workers report: see ``nnlab.sweep.reporter``."""
        for report in reports:
            self.trained(report["epochs"])
            if Path(report.get("ended", "")) in self._jobs:
                self.ended(Path(report["ended"]), Outcome(report["status"], report["reason"]), report["left"])

    def say(self, line: str) -> None:
        """Print a line that is about none of the runs."""
        self._print(line)

    def _show(self, *, is_last: bool = False) -> None:
        now = time.monotonic()
        if self._bar:
            if is_last or now - self._shown > _REFRESH_SECONDS:
                self._shown = now
                self._bar.update(self._task, total=max(1, self._total), completed=self._done, text=self._text())
            return
        # Half of it for the epochs, half for what comes after them: checkpoints, plots.
        jobs = max(1, len(self._jobs))
        share = (self._done / max(1, self._total) + len(self.outcomes) / jobs) / 2 * jobs / max(jobs, self._in_all)
        if is_last or (share >= self._next and now - self._shown > _LINE_SECONDS):
            self._shown, self._next = now, share + 1 / _LINES
            self._print(f"{self.title}  {self._text()}")

    def _text(self) -> str:
        """Return jobs done, failed and left, the speed and the time left."""
        failed = sum(outcome.status == "FAILED" for outcome in self.outcomes.values())
        done = sum(outcome.status == "FINISHED" for outcome in self.outcomes.values())
        pruned = sum(outcome.status == "KILLED" for outcome in self.outcomes.values())
        jobs, now = max(self._in_all, len(self._jobs)), time.monotonic()
        waiting = jobs - len(self.outcomes)
        others = [f"{count} {what}" for count, what in ((pruned, "pruned"), (failed, "failed")) if count]
        parts = [f"{done} of {jobs} jobs done", *others, f"{waiting} left"]
        if not waiting:
            return f"{', '.join(parts)}  in {_duration(now - self._begun)}"
        rate = self._timed / max(1e-9, now - self._started)
        numbers = [f"{_short(rate)} epochs/s"] if rate and self._done < self._total else []
        if (left := self._seconds_left(rate)) is not None:
            numbers.append(f"{_duration(left)} left")
        return "  ".join([", ".join(parts), *numbers])

    def _seconds_left(self, rate: float) -> float | None:
        """Return the time until all is done: by epochs, and when they are, by the runs whose record is being closed."""
        total = self._total * max(self._in_all, len(self._jobs)) / max(1, len(self._jobs))  # as if all were alike
        if self._done < total:
            self._closing = None
            return (total - self._done) / rate if rate else None
        now, ended = time.monotonic(), len(self.outcomes)
        since, before = self._closing = self._closing or (now, ended)
        return (len(self._jobs) - ended) * (now - since) / (ended - before) if ended > before else None

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _duration(seconds: float) -> str:
    """Return a time for people: ``42 s``, ``3:05 min``, ``2:05 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02d} h"
