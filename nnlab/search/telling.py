"""Telling: how trials ended, as their runs' journals have it, and the study's record of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.search import space
from nnlab.search.asking import finished
from nnlab.search.contest import Contest
from nnlab.search.pruning import curve
from nnlab.sweep.plan import Sweep
from nnlab.sweep.trials import Settings, Trial

TRIAL = "nnlab.trial"
"""Attribute of a study's trial: the run id of its sweep, and its number there."""
_REASON = "nnlab.reason"


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        trial: of the search.
        state: of Optuna's: COMPLETE, PRUNED or FAIL.
        values: of each run, if all have finished.
        epochs: that were trained, summed over its runs.
        reason: of FAIL.
    """

    trial: Trial
    state: TrialState
    values: tuple[float, ...]
    epochs: int
    reason: str | None = None

    @property
    def value(self) -> float:
        """The mean; NaN of a trial that is not complete."""
        return math.fsum(self.values) / len(self.values) if self.values else math.nan


def directories(sweep: Sweep, trial: Trial) -> list[Path]:
    """Return the directories of a trial's runs, those that can be built."""
    return [job.directory for number in trial.runs if (job := sweep.planned[number].job) is not None]


def told(study: optuna.Study, parent: str) -> dict[int, FrozenTrial]:
    """Return the trials that a sweep has told its study, by their numbers in the search."""
    found = {}
    for each in study.get_trials(deepcopy=False):
        run_id, _, number = str(each.user_attrs.get(TRIAL, "")).partition("/")
        if run_id == parent:
            found[int(number)] = each
    return found


def result(sweep: Sweep, trial: Trial) -> Result:
    """Return how a trial ended.

    Raises:
        NnlabError: a run of it has not come to an end, or its journal is damaged.
    """
    assert sweep.search is not None  # noqa: S101 - there are no trials else
    settings, values, epochs, pruned, reason = sweep.search.settings, list[float](), 0, False, None
    for number in trial.runs:
        planned = sweep.planned[number]
        if planned.job is None:
            reason = reason or planned.problem
            continue
        record = journal.read(planned.job.directory) if _has_record(planned.job.directory) else None
        if record is None or record.status == "FAILED":
            reason = reason or (record and record.reason) or "it ended before its record began; see its train.log"
        elif record.status != "FINISHED" and not record.is_pruned:
            raise NnlabError(f"{planned.job.directory} is {record.status}: its trial can't be told yet", exit_code=1)
        else:
            pruned = pruned or record.is_pruned
            values.append(best(planned.job.directory, settings))
        epochs += max(record.steps, default=0) if record else 0
    if reason is not None or (not pruned and not all(map(math.isfinite, values))):
        return Result(trial, TrialState.FAIL, (), epochs, reason or f"no finite {settings.metric}")
    if pruned:
        return Result(trial, TrialState.PRUNED, (), epochs)
    return Result(trial, TrialState.COMPLETE, tuple(values), epochs)


def tell(
    study: optuna.Study, sweep: Sweep, cohorts: Sequence[Sequence[Trial]], parent: str, known: Collection[int]
) -> None:
    """Tell a study how a batch ended, each trial in one transaction: a kill leaves it told or not.

    Args:
        study: in its storage.
        sweep: the search.
        cohorts: trials that were judged side by side.
        parent: run id of the sweep.
        known: numbers of the trials that are told already.
    """
    ended = {number: each for cohort in cohorts for number, each in _ended(study, sweep, cohort, parent).items()}
    for number in sorted(ended.keys() - known):
        study.add_trial(ended[number])


def _ended(study: optuna.Study, sweep: Sweep, cohort: Sequence[Trial], parent: str) -> dict[int, FrozenTrial]:
    """Return trials as a study has them, by their numbers in the search."""
    search = sweep.search
    assert search is not None  # noqa: S101
    dimensions = space.dimensions(search.space)
    earlier = finished(study.get_trials(deepcopy=False)[: cohort[0].seen])
    judged = [trial for trial in cohort if len(directories(sweep, trial)) == len(trial.runs)]
    contest = Contest(search.settings, earlier, [len(trial.runs) for trial in judged])
    curves = [[curve(each, search.settings.metric) for each in directories(sweep, trial)] for trial in judged]
    contest.replay(curves)
    frozen = {}
    for trial in cohort:
        ended = result(sweep, trial)
        state = contest.state(judged.index(trial)) if trial in judged else None
        reported = dict(state.intermediate_values) if state else {}
        value = ended.value if ended.state is TrialState.COMPLETE else None
        if ended.state is TrialState.PRUNED and reported:
            value = reported[max(reported)]
        attributes: dict[str, Any] = {TRIAL: f"{parent}/{trial.number}"}
        frozen[trial.number] = create_trial(
            state=ended.state,
            value=value,
            params=dict(trial.params),
            distributions={each.key: each.distribution for each in dimensions},
            user_attrs=attributes | ({_REASON: ended.reason} if ended.reason else {}),
            system_attrs=dict(state.system_attrs) if state else {},
            intermediate_values=reported,
        )
    return frozen


def best(directory: Path, settings: Settings) -> float:
    """Return the best value that a run had of the search's metric; NaN if it had none."""
    values = curve(directory, settings.metric).values()
    return (max if settings.way == "maximize" else min)(values, default=math.nan)


def _has_record(directory: Path) -> bool:
    return (directory / journal.NAME).is_file()
