"""Asking: a batch of trials, suggested by Optuna's sampler, and the jobs that they become.

What is suggested depends on nothing but the sampler's seed, the trials that the study has, and a trial's number in it:
it is asked of a copy in memory, and every trial gets a generator of its own. So a search that was killed asks for what
it would have asked for without that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.search import jobs, space
from nnlab.search.space import Dimension
from nnlab.sweep.plan import Planned, Sweep
from nnlab.sweep.trials import Settings, Trial


def ask(sweep: Sweep, known: Sequence[FrozenTrial]) -> Sweep:
    """Return a sweep with one more batch of trials.

    Args:
        sweep: a search.
        known: the trials of its study, by their numbers.

    Raises:
        NnlabError: the study's trials are of another space.
    """
    search = sweep.search
    assert search is not None  # noqa: S101 - the caller knows
    settings = search.settings
    dimensions = space.dimensions(search.space)
    count = min(settings.batch, settings.n_trials - len(search.trials))
    trials, planned = list(search.trials), list(sweep.planned)
    for params in suggest(known, settings, dimensions, count):
        base = jobs.find_base(search, dimensions, params)
        made = _runs(base, sweep, dimensions, params, len(planned))
        trials.append(Trial(len(trials), len(known), params, tuple(each.number for each in made)))
        planned += made
    return replace(sweep, planned=tuple(planned), search=replace(search, trials=tuple(trials)))


def suggest(
    known: Sequence[FrozenTrial], settings: Settings, dimensions: Sequence[Dimension], count: int
) -> list[dict[str, Any]]:
    """Return the values of so many trials, key -> value."""
    distributions = {each.key: each.distribution for each in dimensions}
    copy = optuna.create_study(direction=settings.way)
    copy.add_trials(finished(known))
    suggested = []
    for number in range(len(known), len(known) + count):
        copy.sampler = sampler(settings, number)
        suggested.append(copy.ask(distributions).params)
    return suggested


def check_space(known: Sequence[FrozenTrial], dimensions: Sequence[Dimension]) -> None:
    """Refuse to go on with a study in another space.

    Raises:
        NnlabError: a key is of another kind there, or has other choices.
    """
    for dimension in dimensions:
        for trial in known:
            before = trial.distributions.get(dimension.key, dimension.distribution)
            try:
                check_distribution_compatibility(before, dimension.distribution)
            except ValueError as error:
                raise NnlabError(
                    one_line(f"{dimension.override}: the study has trials of another space, {before}: {error}")
                ) from error


def sampler(settings: Settings, number: int) -> BaseSampler:
    """Return Optuna's sampler for one trial."""
    seed = int(np.random.SeedSequence([settings.sampler_seed, number]).generate_state(1)[0])
    return TPESampler(seed=seed) if settings.sampler == "tpe" else RandomSampler(seed)


def finished(known: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have ended in any way."""
    return [trial for trial in known if trial.state.is_finished()]


def _runs(
    base: Planned, sweep: Sweep, dimensions: Sequence[Dimension], params: dict[str, Any], first: int
) -> list[Planned]:
    """Return the jobs of a trial; those of one that can't be built say why."""
    assert sweep.search is not None  # noqa: S101
    assert base.job is not None  # noqa: S101 - a base can run
    seeds, groups = sweep.search.settings.seeds, sweep.search.groups
    of_value = [each for each in dimensions if each.key not in groups]  # the base has made the other choices
    made = []
    for replica in range(seeds):
        more = [("seed", base.job.config.seed + replica)] if seeds > 1 else []
        try:
            job = jobs.job_of(base, of_value, params, more, first + replica, sweep.directory)
            made.append(jobs.named(job, sweep.swept))
        except NnlabError as error:
            texts = tuple(each.text(params[each.key]) for each in dimensions)
            refused = replace(base, number=first + replica, overrides=texts, name=" ".join(texts))
            made.append(replace(refused, job=None, problem=str(error)))
    return made
