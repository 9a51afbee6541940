"""Contest: trials side by side, epoch by epoch, and Optuna's pruner that says which of them are to end.

What it says depends on nothing but the trials that were finished when these were asked for, and on the numbers of
these. So it is asked where they are trained, again by whoever goes on with them from their journals, and once more when
they are told: each time it says the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial

from nnlab.sweep.trials import Settings

Curve = dict[int, float]
"""Epoch -> metric of a run."""


class Contest:
    """Some trials that are trained side by side.

    Args:
        settings: of the search.
        earlier: the trials that were finished when these were asked for.
        runs: how many each of the trials has.
    """

    def __init__(self, settings: Settings, earlier: Sequence[FrozenTrial], runs: Sequence[int]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would announce each study
        self._study = optuna.create_study(direction=settings.way, pruner=pruner(settings))
        self._study.add_trials(earlier)
        self._trials = [self._study.ask() for _ in runs]
        self._last = [[math.nan] * each for each in runs]  # of each run
        self.pruned: dict[int, int] = {}
        """Trial -> epoch after which it is to end."""
        self.failed: set[int] = set()

    def epoch(self, epoch: int, values: Mapping[tuple[int, int], float]) -> None:
        """Take an evaluated epoch; of epoch 0, which is before training, nobody is judged.

        Args:
            epoch: its number.
            values: (trial, run of it) -> metric. A run that has none has ended before, and counts with its last one;
                NaN is that of a failed one.
        """
        for (trial, run), value in values.items():
            self._last[trial][run] = value
            if math.isnan(value):
                self.failed.add(trial)
        going_on = {trial for trial, _ in values} - self.failed - self.pruned.keys()
        for number in sorted(going_on) if epoch else ():  # in their order, as if they had reported one after the other
            mean = math.fsum(self._last[number]) / len(self._last[number])
            if math.isnan(mean):  # a run of it has not begun
                continue
            asked = self._trials[number]
            asked.report(mean, epoch)
            if asked.should_prune():
                self.pruned[number] = epoch

    def replay(self, curves: Sequence[Sequence[Curve]], until: int | None = None) -> None:
        """Take what journals say.

        Args:
            curves: of each run of each trial.
            until: the last epoch to take; None for all.
        """
        flat = {(t, r): curve for t, of_trial in enumerate(curves) for r, curve in enumerate(of_trial)}
        for epoch in sorted({epoch for curve in flat.values() for epoch in curve}):
            if until is None or epoch <= until:
                self.epoch(epoch, {place: curve[epoch] for place, curve in flat.items() if epoch in curve})

    def state(self, trial: int) -> FrozenTrial:
        """Return what Optuna knows of a trial: the values that were reported, and the rungs that it has reached."""
        return self._study.get_trials(deepcopy=False)[self._trials[trial].number]


def pruner(settings: Settings) -> BasePruner:
    """Return Optuna's pruner."""
    match settings.pruner:
        case "median":
            return MedianPruner(settings.median.startup_trials, settings.median.warmup_epochs)
        case "successive_halving":
            halving = settings.successive_halving
            return SuccessiveHalvingPruner(halving.min_epochs, halving.reduction_factor)
        case "none":
            return NopPruner()
