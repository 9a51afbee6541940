"""Reduce on plateau: the one schedule that follows what the run achieves, and so has a state."""

from __future__ import annotations

import math
from typing import Any

from nnlab.optim.ranges import at_least_zero, below_one


class ReduceOnPlateau:
    """Multiplier that is cut by ``factor`` once more than ``patience`` evaluations in a row brought no improvement.

    ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``threshold_mode="rel"``, ``eps=0`` and ``min_lr=minimum * lr``;
    ``mode="max"`` where ``monitor`` ends in ``accuracy``, else ``"min"``. It counts evaluations: t is of no account.

    >>> schedule = ReduceOnPlateau(10, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.observe(loss)
    >>> schedule(4)
    0.5

    Args:
        total: not used.
        monitor: the metric to be observed.
        factor: in [0, 1).
        patience: evaluations without improvement that are tolerated, at least 0.
        threshold: an improvement is a loss below best (1 - threshold) or an accuracy above best (1 + threshold); in
            [0, 1). NaN never is one.
        cooldown: evaluations after a cut that don't count against patience, at least 0.
        minimum: the multiplier does not fall below it, at least 0.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        total: int,  # noqa: ARG002 - the common signature
        *,
        monitor: str = "val/loss",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        minimum: float = 0.0,
    ) -> None:
        below_one("factor", factor)
        at_least_zero("patience", patience)
        below_one("threshold", threshold)
        at_least_zero("cooldown", cooldown)
        at_least_zero("minimum", minimum)
        self.monitor, self.factor, self.patience = monitor, factor, patience
        self.threshold, self.cooldown, self.minimum = threshold, cooldown, minimum
        self._sign = -1 if monitor.endswith("accuracy") else 1
        self._multiplier = 1.0
        self._best = math.inf  # times the sign: smaller is better
        self._bad = 0
        self._cooling = 0

    def __call__(self, t: int) -> float:  # noqa: ARG002 - the common signature
        """Return the current multiplier."""
        return self._multiplier

    def observe(self, value: float) -> None:
        """Take the monitored metric of one evaluation into account."""
        score = self._sign * value
        if score < self._best * (1 - self._sign * self.threshold):
            self._best, self._bad = score, 0
        else:
            self._bad += 1
        if self._cooling:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience:
            self._multiplier = min(self._multiplier, max(self._multiplier * self.factor, self.minimum))
            self._cooling, self._bad = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what is to be saved, JSON values; ``best`` is None before the first improvement."""
        best = self._sign * self._best if math.isfinite(self._best) else None
        return {"multiplier": self._multiplier, "best": best, "bad": self._bad, "cooling": self._cooling}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._multiplier, self._bad, self._cooling = state["multiplier"], state["bad"], state["cooling"]
        self._best = math.inf if state["best"] is None else self._sign * state["best"]
