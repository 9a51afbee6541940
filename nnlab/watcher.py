"""Watcher: whoever is told how training goes: a progress display, or what reports to one in another process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from nnlab.journal import Status
from nnlab.training import EpochResult


class Outcome(NamedTuple):
    """How a run ended."""

    status: Status
    reason: str | None = None


class Watcher(Protocol):
    """Is called from the process that trains, between epochs: it should be quick."""

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:
        """Take one epoch of a stack.

        Args:
            result: of it.
            epochs: of its longest run.
            runs: how many were trained in it; those that had ended before still are in ``result``.
        """

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        """Take the end of a run.

        Args:
            directory: of the run.
            outcome: of it.
            epochs_left: that it would have had.
        """
