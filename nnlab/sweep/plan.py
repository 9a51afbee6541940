"""Plan: the jobs of a sweep, composed and checked before the first one trains."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nnlab import runner
from nnlab.build import load
from nnlab.compose import Job, job_from
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.explanation import explain
from nnlab.hashing import code_version
from nnlab.sweep.composition import Composition
from nnlab.sweep.trials import Search

_NOT_BUILT = ("seed", "experiment_name", "tracking", "checkpoint")
"""Keys that decide nothing about whether a run can be built."""


@dataclass(frozen=True)
class Composed:
    """What Hydra's own record of a job says beside its resolved config.

    Attributes:
        hydra: Hydra's settings, unresolved; those that are the job's own come on top.
        raw: top-level keys of the job's config as they were composed, where that is not what they resolve to.
        dirname: ``hydra.job.override_dirname``.
    """

    hydra: Mapping[str, Any]
    raw: Mapping[str, Any]
    dirname: str


@dataclass(frozen=True)
class Planned:
    """One job of a sweep.

    Attributes:
        number: from 0.
        overrides: all of them.
        name: what was swept, ``activation=relu seed=3``.
        job: composed; None if it can't run.
        problem: why it can't.
        stands: directory of a finished run elsewhere that is the same, so that this one need not be trained.
        data_hash: of its data set.
        composed: for Hydra's record.
    """

    number: int
    overrides: tuple[str, ...]
    name: str
    job: Job | None
    problem: str | None = None
    stands: Path | None = None
    data_hash: str | None = None
    composed: Composed | None = field(default=None, repr=False)

    @property
    def is_to_train(self) -> bool:
        """Whether it can run and does not stand already."""
        return self.job is not None and self.stands is None


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was planned.

    Attributes:
        directory: of the sweep.
        given: its overrides.
        swept: the keys that differ between its jobs.
        launcher: Hydra's launcher with its settings.
        planned: its jobs, in the order of their numbers.
        search: what it has more, if it is a search, whose jobs become more as it goes on.
        code_version: of the sources that it was planned with.
    """

    directory: Path
    given: tuple[str, ...]
    swept: tuple[str, ...]
    launcher: Mapping[str, Any]
    planned: tuple[Planned, ...]
    search: Search | None = None
    code_version: str = field(default_factory=code_version)


Compose = Callable[[int, Sequence[str]], Composition]
"""From a job's number and overrides to its config, good until the next call."""


def plan(jobs: Sequence[Sequence[str]], swept: Sequence[str], compose: Compose, directory: Path) -> list[Planned]:
    """Compose and check every job.

    Args:
        jobs: the overrides of each.
        swept: the keys that more than one value was given for.
        compose: composes one.
        directory: of the sweep, which none of them can have.

    Raises:
        NnlabError: there is no job, or none can run.
    """
    drafted = [_draft(number, overrides, swept, compose) for number, overrides in enumerate(jobs)]
    planned = _checked(drafted, directory)
    if not planned:
        raise NnlabError("the sweep has no jobs: one of its ranges is empty")
    problems = dict.fromkeys(job.problem for job in planned)
    if None not in problems:
        more = f" (and {len(problems) - 1} other problems: no job can run)" if len(problems) > 1 else ""
        raise NnlabError(f"{planned[0].problem}{more}")
    return planned


def name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """Return a job's name: what was swept, with its values."""
    values = dict(override.split("=", 1) for override in overrides if "=" in override)
    return " ".join(f"{key}={values[key]}" for key in swept if key in values)


def _draft(number: int, overrides: Sequence[str], swept: Sequence[str], compose: Compose) -> Planned:
    drafted = Planned(number, tuple(overrides), name(overrides, swept), None)
    try:
        composition = compose(number, overrides)
        job = job_from(composition.config)
    except NnlabError as error:
        return replace(drafted, problem=str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return replace(drafted, problem=str(explain(error, overrides)))
    return replace(drafted, job=job, composed=_composed(composition, job.config))


def _composed(composition: Composition, config: Config) -> Composed:
    resolved = config.to_dict()
    raw: Any = OmegaConf.to_container(composition.config)
    unlike = {key: value for key, value in raw.items() if key not in resolved or value != resolved[key]}
    unlike.pop("hydra")
    return Composed(composition.settings, unlike, composition.config.hydra.job.override_dirname)


def _checked(drafted: list[Planned], directory: Path) -> list[Planned]:
    """Build what differs in more than its seed, once each; jobs of one data set together, for it is kept in memory."""
    planned = {each.number: each for each in drafted}
    taken = {directory: "the sweep"}
    alike: dict[tuple[str, str], list[Planned]] = {}
    for each in drafted:
        if each.job is None:
            continue
        if owner := taken.get(each.job.directory):
            shared = f"hydra.sweep.subdir gives it the directory of {owner}, {each.job.directory}"
            planned[each.number] = replace(each, job=None, problem=shared)
            continue
        taken[each.job.directory] = f"job {each.number}"
        node = each.job.config.to_dict()
        dataset = json.dumps([node.pop("dataset"), node["training"]["dtype"]], sort_keys=True)
        rest = {key: value for key, value in node.items() if key not in _NOT_BUILT}
        alike.setdefault((dataset, json.dumps(rest, sort_keys=True)), []).append(each)
    for _, same in sorted(alike.items()):
        problem, data_hash = check_one(same[0])
        for each in same:
            job = each.job if problem is None else None
            planned[each.number] = replace(each, job=job, problem=problem, data_hash=data_hash)
    return list(planned.values())


def check_one(each: Planned) -> tuple[str | None, str | None]:
    """Return what is wrong with a job's config, and the hash of its data."""
    assert each.job is not None  # noqa: S101 - only those are checked
    config = each.job.config
    try:
        runner.check(each.job)
        return None, load(config.dataset, config.training.dtype)[0].data_hash
    except NnlabError as error:
        return str(error), None
