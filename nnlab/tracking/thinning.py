"""Thinning: which epochs of a long run MLflow gets. Its charts draw 320 points; history.csv has every epoch."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import cache

WHOLE = 1000
"""Runs of up to so many epochs are mirrored whole."""

_MOST = 2**53  # epochs; those beyond are none that anybody trains

_KINDS = {
    (False, False): ("once",),
    (False, True): ("once", "evaluated"),
    (True, False): ("once", "trained"),
    (True, True): ("once", "evaluated", "trained"),
}


@dataclass(frozen=True)
class Thinning:
    """The epochs to keep of a run of known length; the last and the best are added when the run has ended.

    Attributes:
        trained: epochs for the metrics that every epoch has; None for all.
        evaluated: epochs for those that only evaluated epochs have; None for all.
    """

    trained: frozenset[int] | None = field(default=None)
    evaluated: frozenset[int] | None = field(default=None)

    @classmethod
    def of(cls, epochs: int, eval_every: int, max_points: int | None) -> Thinning:
        """Return the thinning of a run: evenly spaced epochs, the first and the last among them.

        Args:
            epochs: planned.
            eval_every: epochs between evaluations.
            max_points: of one metric, the best epoch included; None for all.
        """
        if max_points is None or epochs <= WHOLE:
            return cls()
        epochs = min(epochs, _MOST)
        evaluated = range(0, epochs + 1, eval_every)  # never listed: somebody may train until Ctrl-C
        last = () if evaluated[-1] == epochs else (epochs,)
        return cls(_spread(range(1, epochs + 1), (), max_points - 1), _spread(evaluated, last, max_points - 1))

    def keeps(self, metric: str, epoch: int) -> bool:
        """Say whether a metric of an epoch is mirrored as the run goes along."""
        return kind(metric) in self.kinds(epoch)

    def kinds(self, epoch: int) -> Container[str]:
        """Return the kinds of metrics that are mirrored of an epoch."""
        is_trained = self.trained is None or epoch in self.trained
        is_evaluated = self.evaluated is None or epoch in self.evaluated
        return _KINDS[is_trained, is_evaluated]


@cache
def kind(metric: str) -> str:
    """Return ``trained``, ``evaluated``, or ``once`` for what a run has once or of single updates: always kept."""
    if metric.startswith(("final/", "best/", "update/")):
        return "once"
    return "evaluated" if metric.startswith(("val/", "test/", "time/eval_seconds")) else "trained"


def _spread(candidates: range, further: Sequence[int], points: int) -> frozenset[int]:
    """Return so many of some epochs, evenly spaced, with the first and the last."""
    last = len(candidates) + len(further) - 1
    if last < points:
        return frozenset([*candidates, *further])
    places = (round(place * last / (points - 1)) for place in range(points))
    return frozenset(candidates[at] if at < len(candidates) else further[0] for at in places)
