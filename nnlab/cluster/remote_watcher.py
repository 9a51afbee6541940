"""RemoteWatcher: tells whoever has sent an order how its training goes, and notices when nobody wants it any more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Worker
from distributed.core import Status

from nnlab.training import EpochResult
from nnlab.watcher import Outcome

_LONGEST = 2000  # characters of a reason; the journal has it whole


class RemoteWatcher:
    """A ``Watcher`` in the thread of a Dask worker that trains; a task can't be ended from outside.

    Args:
        worker: that it runs on.
        key: of the task.
        topic: of Dask's events.
        seconds: between two reports of epochs.
        directories: of the runs here -> where the sweep was started.
    """

    def __init__(self, worker: Worker, key: Any, topic: str, seconds: float, directories: Mapping[Path, Path]) -> None:
        self._worker, self._key, self._topic, self._seconds = worker, key, topic, seconds
        self._directories = directories
        self._epochs = 0
        self._reported = time.monotonic()

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:  # noqa: ARG002 - of a ``Watcher``
        """Count an epoch of so many runs.

        Raises:
            KeyboardInterrupt: the order was called off, or the cluster is gone.
        """
        self._epochs += runs if result.epoch else 0  # epoch 0 is an evaluation
        if time.monotonic() - self._reported > self._seconds:
            self._reported = time.monotonic()
            self.report()
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state == "cancelled" or self._worker.status not in (Status.running, Status.paused):
            raise KeyboardInterrupt

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        """Report the end of a run."""
        reason = outcome.reason[:_LONGEST] if outcome.reason else None
        place = str(self._directories[directory])
        self.report(ended=place, status=outcome.status, reason=reason, left=epochs_left)

    def report(self, **of_run: Any) -> None:
        """Send what has been counted since the last time."""
        self._worker.log_event(self._topic, {"epochs": self._epochs, **of_run})
        self._epochs = 0
