"""Pruning: the judge that sits where a batch's trials are trained, and ends the runs of those that promise little."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial

from nnlab import journal
from nnlab.search.contest import Contest, Curve
from nnlab.sweep.trials import Settings

Cohort = Sequence[Sequence[Path]]
"""Directories of the runs of trials that are judged side by side."""


@dataclass
class Pruning:
    """A ``Judge``.

    Args:
        settings: of the search.
        earlier: the trials that were finished when the batch was asked for.
        cohorts: of the batch.
    """

    settings: Settings
    earlier: Sequence[FrozenTrial]
    cohorts: Sequence[Cohort]
    _at_work: list[tuple[Contest, dict[Path, tuple[int, int]]]] = field(default_factory=list, init=False)
    _ended: dict[Path, Curve] = field(default_factory=dict, init=False)

    @property
    def metric(self) -> str:
        """Of the search."""
        return self.settings.metric

    def begin(self, directories: Sequence[Path], after: int | None) -> None:
        """Let the trials of a stack begin, or go on where their journals end.

        A trial that is not in this stack as a whole, as its worker was killed again and again, is not judged.
        """
        there = set(directories)
        self._at_work, self._ended = [], {}
        for cohort in self.cohorts:
            if not any(directory in there for trial in cohort for directory in trial):
                continue
            trials = [[each for each in trial if self._has_part(each, there)] for trial in cohort]
            whole = [trial for trial, mine in zip(cohort, trials, strict=True) if len(mine) == len(trial)]
            contest = Contest(self.settings, self.earlier, [len(trial) for trial in whole])
            places = {each: (t, r) for t, trial in enumerate(whole) for r, each in enumerate(trial)}
            known = {each: curve(each, self.metric) for each in places}
            if after is not None:
                contest.replay([[known[each] for each in trial] for trial in whole], until=after)
            self._ended |= {each: values for each, values in known.items() if each not in there}
            self._at_work.append((contest, places))

    def epoch(self, epoch: int, values: Mapping[Path, float]) -> dict[Path, str]:
        """Judge an epoch."""
        verdicts: dict[Path, str] = {}
        for contest, places in self._at_work:
            known = {each: of[epoch] for each, of in self._ended.items() if each in places and epoch in of}
            now = {**known, **{each: value for each, value in values.items() if each in places}}
            contest.epoch(epoch, {places[each]: value for each, value in now.items()})
            for each in values.keys() & places.keys():
                trial = places[each][0]
                if trial in contest.failed:
                    verdicts[each] = f"ended after epoch {epoch}: another run of its trial failed"
                elif trial in contest.pruned:
                    verdicts[each] = f"pruned after epoch {contest.pruned[trial]} ({self.settings.pruner})"
        return verdicts

    def _has_part(self, directory: Path, there: set[Path]) -> bool:
        return directory in there or has_ended(directory)


def has_ended(directory: Path) -> bool:
    """Say whether a run has come to an end that stands."""
    if not (directory / journal.NAME).is_file():
        return False
    record = journal.replay(directory)
    return record.status in ("FINISHED", "FAILED") or record.is_pruned


def curve(directory: Path, metric: str) -> Curve:
    """Return a run's metric by epochs, as its journal has it; NaN in the last one of a run that failed."""
    if not (directory / journal.NAME).is_file():
        return {}
    record = journal.replay(directory)
    found = {epoch: values[metric] for epoch, values in sorted(record.steps.items()) if metric in values}
    if record.status == "FAILED":
        found[max(record.steps, default=0)] = math.nan
    return found
