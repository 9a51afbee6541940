"""Trials: what a search adds to a sweep's plan: its settings, its space, and the trials that it has asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nnlab.training.evaluation import higher_is_better

if TYPE_CHECKING:
    from nnlab.sweep.plan import Planned

Direction = Literal["minimize", "maximize"]
Positive = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Median(_Settings):
    """Of Optuna's ``MedianPruner``.

    Attributes:
        startup_trials: that are to be complete before any is pruned.
        warmup_epochs: in which no trial is pruned.
    """

    startup_trials: Annotated[int, Field(ge=0)] = 5
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class SuccessiveHalving(_Settings):
    """Of Optuna's ``SuccessiveHalvingPruner``.

    Attributes:
        min_epochs: the first rung.
        reduction_factor: of the trials that reach a rung, one in so many goes on; the next one is so many times as far.
    """

    min_epochs: Positive = 4
    reduction_factor: Annotated[int, Field(ge=2)] = 2


class Settings(_Settings):
    """Settings of a search, those below ``hydra.sweeper``.

    Attributes:
        n_trials: how many this sweep asks for.
        batch: how many at once; they are suggested without knowing each other's values, and train together.
        seeds: runs of a trial, whose mean is its value.
        sampler: of Optuna's.
        sampler_seed: of its random numbers.
        pruner: of Optuna's.
        median: settings of this pruner.
        successive_halving: settings of this one.
        metric: of each evaluated epoch; a run's value is the best of all epochs.
        direction: null for what the metric means: accuracies are to rise, all others to fall.
        storage: URL of a data base; null for a file in the sweep's directory. Never with a password in it.
        study_name: null for that of the sweep's directory.
    """

    n_trials: Positive = 40
    batch: Positive = 8
    seeds: Positive = 1
    sampler: Literal["tpe", "random"] = "tpe"
    sampler_seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    pruner: Literal["none", "median", "successive_halving"] = "none"
    median: Median = Median()
    successive_halving: SuccessiveHalving = SuccessiveHalving()
    metric: Annotated[str, Field(min_length=1)] = "val/loss"
    direction: Direction | None = None
    storage: str | None = None
    study_name: str | None = None

    @property
    def way(self) -> Direction:
        """The direction, be it given or what the metric means."""
        return self.direction or ("maximize" if higher_is_better(self.metric) else "minimize")


@dataclass(frozen=True)
class Trial:
    """A point of the space that was asked for.

    Attributes:
        number: in this search, from 0.
        seen: trials that the study had when it was asked for; those that came later are not looked at for it.
        params: key -> value, as Optuna has it.
        runs: numbers of its jobs, a seed each.
    """

    number: int
    seen: int
    params: Mapping[str, Any]
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Search:
    """What makes a sweep a search.

    Attributes:
        settings: of it.
        space: overrides, one a dimension.
        groups: keys of those that choose from a group.
        bases: a job for each combination of group choices, with the first value of each other dimension: what the
            jobs of trials are made from, whatever happens to ``conf/`` meanwhile.
        trials: asked for so far, in the order of their numbers.
    """

    settings: Settings
    space: tuple[str, ...]
    groups: tuple[str, ...]
    bases: tuple[Planned, ...]
    trials: tuple[Trial, ...] = ()
