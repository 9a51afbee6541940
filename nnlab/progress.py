"""Progress: what a run shows while it trains: a bar on a terminal, plain lines in a pipe or a file."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from nnlab import terminal
from nnlab.training import EpochResult
from nnlab.watcher import Outcome

_REFRESH_SECONDS = 0.1


class Progress:
    """Shows the epochs of one run, or of a stack as its mean; a context manager.

    Args:
        title: of the run.
        lines: about so many lines where there is no terminal.
        console: where to; by default the standard output.
    """

    def __init__(self, title: str, lines: int = 20, console: Console | None = None) -> None:
        self.title, self.lines = title, lines
        self.console = console or terminal.console()
        self._started = self._shown = time.perf_counter()
        self._bar: Bar | None = None
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=self.console)
            self._task = self._bar.add_task(title, total=None, numbers="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        """Take the end of a run, which whoever started it will tell."""

    def epoch(self, result: EpochResult, epochs: int, runs: int = 1) -> None:  # noqa: ARG002 - of a ``Watcher``
        """Show one epoch of so many, if it is time to."""
        is_last = result.epoch == epochs or bool(result.failed or result.stopped)
        now = time.perf_counter()
        if result.epoch == 0:
            self._started = now  # building and the first evaluation are no epochs
        if self._bar:
            if is_last or now - self._shown > _REFRESH_SECONDS:
                self._shown = now
                self._bar.update(
                    self._task, total=epochs, completed=result.epoch, numbers=self._numbers(result, epochs)
                )
        elif is_last or (self.lines > 1 and result.epoch % max(1, epochs // self.lines) == 0):
            width = len(str(epochs))
            line = f"{self.title}  epoch {result.epoch:>{width}}/{epochs}  {self._numbers(result, epochs)}"
            self.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def _numbers(self, result: EpochResult, epochs: int) -> str:
        """Return loss and accuracy, on val rather than on test rather than on the training batches, and the speed."""
        splits = [split for split in ("val", "test", "train") if f"{split}/loss" in result.metrics]
        parts = []
        if splits:
            loss, accuracy = (float(np.mean(result.metrics[f"{splits[0]}/{name}"])) for name in ("loss", "accuracy"))
            parts.append(f"{splits[0]} loss {loss:{'.4f' if loss < 1e4 else '.3g'}}  accuracy {accuracy:.4f}")
        if result.epoch:
            rate = result.epoch / (time.perf_counter() - self._started)
            left = (epochs - result.epoch) / rate
            parts.append(f"{rate:.3g} epochs/s" + ("" if self._bar else f"  {left:.0f} s left"))
        return "  ".join(parts)
