"""Jobs: from a trial's values to the jobs that train it, made from the search's frozen bases."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser

from nnlab.compose import Job
from nnlab.config import validate
from nnlab.errors import NnlabError
from nnlab.search.space import Dimension
from nnlab.sweep.plan import Compose, Composed, Planned, check_one, name, plan
from nnlab.sweep.trials import Search

_MOST_BASES = 200


def plan_bases(
    fixed: Sequence[str], dimensions: Sequence[Dimension], groups: Sequence[str], compose: Compose, directory: Path
) -> list[Planned]:
    """Return a job for each combination of group choices, and see to it that all of the space can be trained.

    Of each of them, every end of an interval or range and every choice is built once, the others at their first value.

    Args:
        fixed: overrides that all trials have in common.
        dimensions: of the space.
        groups: keys of those that choose from a group.
        compose: composes a job.
        directory: of the sweep.

    Raises:
        NnlabError: a part of the space can't be composed or built, or other settings follow from a searched one.
    """
    of_group = [dimension for dimension in dimensions if dimension.key in groups]
    of_value = [dimension for dimension in dimensions if dimension.key not in groups]
    combinations = list(itertools.product(*([each.text(end) for end in each.ends] for each in of_group)))
    if len(combinations) > _MOST_BASES:
        raise NnlabError(f"{len(combinations):,} combinations of group choices are more than {_MOST_BASES}")
    firsts = [each.text(each.ends[0]) for each in of_value]
    lasts = {each.key: each.ends[-1] for each in of_value}
    swept = [each.key for each in dimensions]
    bases = _planned([[*fixed, *chosen, *firsts] for chosen in combinations], swept, compose, directory)
    texts = [each.text(lasts[each.key]) for each in of_value]
    others = _planned([[*fixed, *chosen, *texts] for chosen in combinations], swept, compose, directory)
    for base, other in zip(bases, others, strict=True):
        made = job_of(base, of_value, lasts, [], base.number, directory).job
        assert made is not None  # noqa: S101 - a base can run
        assert other.job is not None  # noqa: S101
        if made.config != other.job.config:
            mine, theirs = made.config.to_dict(), other.job.config.to_dict()
            unlike = ", ".join(key for key in theirs if mine[key] != theirs[key])
            raise NnlabError(f"{unlike}: it refers to a setting that is searched, which a search can't follow")
        for dimension in of_value:
            for end in dimension.ends[1:-1]:
                one = job_of(base, [dimension], {dimension.key: end}, [], base.number, directory)
                _check(named(one, swept))
    return bases


def find_base(search: Search, dimensions: Sequence[Dimension], params: Mapping[str, Any]) -> Planned:
    """Return the base with a trial's group choices.

    Raises:
        ValueError: there is none, which no plan of ours has.
    """
    chosen = {each.text(params[each.key]) for each in dimensions if each.key in search.groups}
    for base in search.bases:
        if chosen <= set(base.overrides):
            return base
    raise ValueError(f"there is no base for {chosen}")


def job_of(
    base: Planned,
    dimensions: Sequence[Dimension],
    params: Mapping[str, Any],
    more: Sequence[tuple[str, Any]],
    number: int,
    directory: Path,
) -> Planned:
    """Return a job of a trial, validated but not built.

    Args:
        base: with the trial's group choices.
        dimensions: whose values are set.
        params: key -> value, as Optuna has it.
        more: keys and values to be set beside: the seed.
        number: of the job.
        directory: of the sweep.

    Raises:
        NnlabError: a value is out of its range.
    """
    assert base.job is not None  # noqa: S101 - a base can run
    assert base.composed is not None  # noqa: S101
    values = {each.key: each.value(params[each.key]) for each in dimensions} | dict(more)
    texts = {each.key: each.text(params[each.key]) for each in dimensions} | {key: f"{key}={v}" for key, v in more}
    kept = [text for text in base.overrides if text.partition("=")[0] not in texts]
    overrides = (*kept, *texts.values())
    node, raw = base.job.config.to_dict(), copy.deepcopy(dict(base.composed.raw))
    for key, value in values.items():
        path = key.lstrip("+").split(".")
        _set(node, path, value)
        if path[0] in raw:
            _set(raw, path, value)
    job = Job(validate(node), base.job.choices, overrides, directory / str(number))
    return replace(
        base,
        number=number,
        overrides=overrides,
        job=job,
        composed=Composed(base.composed.hydra, raw, _dirname(overrides, base.composed.hydra)),
    )


def named(job: Planned, swept: Sequence[str]) -> Planned:
    """Return a job with the name that what was swept gives it, and its problem if it can't be built."""
    problem, data_hash = check_one(job)
    named = replace(job, name=name(job.overrides, swept), problem=problem, data_hash=data_hash)
    return named if problem is None else replace(named, job=None)


def _planned(jobs: Sequence[list[str]], swept: Sequence[str], compose: Compose, directory: Path) -> list[Planned]:
    try:
        planned = plan(jobs, swept, compose, directory)
    except NnlabError as error:  # of all that can't run it tells the first
        raise NnlabError(_hinted(str(error))) from error
    for each in planned:
        _check(each)
    return planned


def _check(job: Planned) -> None:
    if job.problem is not None:
        raise NnlabError(_hinted(f"{job.problem} ({job.name})"))


def _hinted(problem: str) -> str:
    if "it should be a valid integer" not in problem:
        return problem
    return f"{problem}; for whole numbers write int(interval(a,b)) or range(a,b)"


def _set(node: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value


def _dirname(overrides: Sequence[str], hydra: Mapping[str, Any]) -> str:
    settings = hydra["job"]["config"]["override_dirname"]
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    own = {key: settings[key] for key in ("kv_sep", "item_sep", "exclude_keys")}
    dirname: str = get_overrides_dirname(parsed, **own)
    return dirname
