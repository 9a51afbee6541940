"""EarlyStopping: ends a replica whose monitored metric no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.training.evaluation import higher_is_better
from nnlab.training.result import Values


class EarlyStopping:
    """Watches one metric of each replica.

    Args:
        replicas: of the stack.
        patience: how many evaluations in a row may pass without an improvement.
        monitor: name of the metric; accuracies are to rise, all others to fall.
        min_delta: by how much it must be better than the best so far to count as an improvement.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(self, replicas: int, *, patience: int, monitor: str = "val/loss", min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        if not min_delta >= 0:
            raise ValueError(f"min_delta must be at least 0, got {min_delta}")
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.best: Values = np.full(replicas, -np.inf)
        self.best_epoch: NDArray[np.int64] = np.zeros(replicas, np.int64)
        self.waited: NDArray[np.int64] = np.zeros(replicas, np.int64)

    def observe(self, epoch: int, metrics: Mapping[str, Values]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take an epoch's metrics; tell which replicas improved and which are to stop, ``[replicas]`` each.

        An epoch without the metric (not evaluated) does not count; NaN is no improvement.
        """
        if self.monitor not in metrics:
            nothing = np.zeros(len(self.best), bool)
            return nothing, nothing
        value = metrics[self.monitor] if higher_is_better(self.monitor) else -metrics[self.monitor]
        improved = value > self.best + self.min_delta
        self.best[improved], self.best_epoch[improved] = value[improved], epoch
        self.waited = np.where(improved, 0, self.waited + 1)
        return improved, self.has_ended

    @property
    def has_ended(self) -> NDArray[np.bool_]:
        """Which replicas have waited long enough, ``[replicas]``."""
        return self.waited >= self.patience

    def reason(self, replica: int) -> str:
        """Say why a replica is stopped."""
        return f"no better {self.monitor} since epoch {self.best_epoch[replica]}"

    def state_dict(self, replica: int) -> dict[str, Any]:
        """Return where the watch over one replica stands, for a checkpoint's manifest."""
        best = float(self.best[replica] if higher_is_better(self.monitor) else -self.best[replica])
        return {
            "monitor": self.monitor,
            "best": best if np.isfinite(best) else None,
            "best_epoch": int(self.best_epoch[replica]),
            "waited": int(self.waited[replica]),
        }

    def load_state_dict(self, state: Mapping[str, Any], replica: int) -> None:
        """Go on watching one replica from what ``state_dict`` gave."""
        best = -np.inf if state["best"] is None else state["best"] if higher_is_better(self.monitor) else -state["best"]
        self.best[replica], self.best_epoch[replica], self.waited[replica] = best, state["best_epoch"], state["waited"]
