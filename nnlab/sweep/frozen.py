"""Frozen: a sweep's plan, kept in its directory before the first job trains.

Whoever trains a job, now or after an interruption, takes it from there, so that later edits of ``conf/`` change
nothing.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from nnlab.compose import Job
from nnlab.config import Config, validate
from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.saved_config import check_config
from nnlab.sweep import plan_file
from nnlab.sweep.plan import Composed, Planned, Sweep
from nnlab.sweep.plan_file import NAME, HydraEntry, JobEntry, PlanFile, SearchEntry, TrialEntry
from nnlab.sweep.trials import Search, Trial

_Check = Callable[[dict[str, Any], str], Config]


def freeze(sweep: Sweep) -> None:
    """Write a sweep's plan into its directory.

    Raises:
        NnlabError: it has too many jobs.
        OSError: the file system refuses.
    """
    search, jobs = sweep.search, (*sweep.planned, *(sweep.search.bases if sweep.search else ()))
    hydra = {id(each.composed.hydra): each.composed.hydra for each in jobs if each.composed}
    position = {key: number for number, key in enumerate(hydra)}
    file = PlanFile(
        version=1,
        code_version=sweep.code_version,
        given=list(sweep.given),
        swept=list(sweep.swept),
        launcher=dict(sweep.launcher),
        hydra=[HydraEntry(**settings) for settings in hydra.values()],
        jobs=[_entry(each, sweep.directory, position) for each in sweep.planned],
        search=None
        if search is None
        else SearchEntry(
            settings=search.settings,
            space=list(search.space),
            groups=list(search.groups),
            bases=[_entry(each, sweep.directory, position) for each in search.bases],
            trials=[
                TrialEntry(number=each.number, seen=each.seen, params=dict(each.params), runs=list(each.runs))
                for each in search.trials
            ],
        ),
    )
    plan_file.write(sweep.directory / NAME, file)


def thaw(directory: Path, trusted: Collection[str] = ()) -> Sweep:
    """Read a plan as somebody else's data: nothing in it is run, and nothing outside the sweep is written to for it.

    Args:
        directory: of the sweep.
        trusted: targets that its configs may name beside those that nnlab ships.

    Raises:
        NnlabError: there is none, or it is not what ``freeze`` writes; one line.
    """
    where, file = directory / NAME, plan_file.read(directory / NAME)
    for place, text in file.texts():
        if not text.isprintable():
            raise NnlabError(one_line(f"{where}: {place}: {text!r} holds control characters"))
    root = directory.resolve()
    for each in file.entries():
        record = None if each.hydra is None else file.hydra[each.hydra].output_subdir
        for path in (each.directory, f"{each.directory}/{record}"):
            if path is not None and not (root / path).resolve().is_relative_to(root):
                raise NnlabError(one_line(f"{where}: job {each.number} is to write to {path}, outside of the sweep"))
    if file.search is None and all(each.problem is not None for each in file.jobs):
        raise NnlabError(f"{where} has no job that can run")
    return _sweep(directory, file, lambda node, place: check_config(node, f"{where}: {place}", trusted))


def own(directory: Path) -> Sweep:
    """Read the plan that this command itself has frozen: what it names was given by whoever gave the command."""
    return _sweep(directory, plan_file.read(directory / NAME), lambda node, _: validate(node))


def job(directory: Path, number: int) -> Planned:
    """Return one job of such a plan.

    Raises:
        NnlabError: there is no such plan or job.
    """
    path = directory / NAME
    file = _read_once(path, path.stat().st_mtime_ns) if path.exists() else plan_file.read(path)
    if not 0 <= number < len(file.jobs):
        raise NnlabError(f"{path} has no job {number}")
    hydra = [settings.model_dump() for settings in file.hydra]
    return _planned(directory, hydra, file.jobs[number], lambda node, _: validate(node))


def directories(directory: Path) -> list[Path]:
    """Return the directories of a sweep's jobs, those that can run, begun or not; none of what is no sweep.

    Raises:
        NnlabError: its plan is damaged.
    """
    return _places(directory, "directory")


def referred(directory: Path) -> list[Path]:
    """Return the directories of the finished runs elsewhere that a sweep refers to, be they still there or not.

    Raises:
        NnlabError: its plan is damaged.
    """
    return _places(directory, "stands")


def _places(directory: Path, key: str) -> list[Path]:
    """Return the paths that a plan has under a key of its jobs, its form unchecked, as that takes long."""
    if not (directory / NAME).exists():
        return []
    jobs = plan_file.parse(directory / NAME).get("jobs")
    found = [each.get(key) for each in jobs if isinstance(each, dict)] if isinstance(jobs, list) else []
    return [_absolute(path, directory) for path in found if isinstance(path, str) and path.isprintable()]


def relative(path: Path, root: Path) -> str:
    """Return a path as it is seen from a sweep's directory, for both may be moved together."""
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # on another drive of Windows
        return str(path)


def _absolute(path: str, root: Path) -> Path:
    return Path(os.path.normpath(root / path))


def _entry(each: Planned, root: Path, position: dict[int, int]) -> JobEntry:
    job, composed = each.job, each.composed
    return JobEntry(
        number=each.number,
        name=each.name,
        overrides=list(each.overrides),
        directory=relative(job.directory, root) if job else None,
        choices=job.choices if job else {},
        config=job.config.to_dict() if job else None,
        problem=each.problem,
        stands=None if each.stands is None else relative(each.stands, root),
        data_hash=each.data_hash,
        hydra=position[id(composed.hydra)] if composed else None,
        raw=dict(composed.raw) if composed else {},
        dirname=composed.dirname if composed else "",
    )


def _sweep(directory: Path, file: PlanFile, check: _Check) -> Sweep:
    hydra = [settings.model_dump() for settings in file.hydra]
    planned = tuple(_planned(directory, hydra, each, check) for each in file.jobs)
    search = None
    if file.search is not None:
        trials = (Trial(each.number, each.seen, each.params, tuple(each.runs)) for each in file.search.trials)
        bases = tuple(_planned(directory, hydra, each, check) for each in file.search.bases)
        space, groups = tuple(file.search.space), tuple(file.search.groups)
        search = Search(file.search.settings, space, groups, bases, tuple(trials))
    return Sweep(directory, tuple(file.given), tuple(file.swept), file.launcher, planned, search, file.code_version)


def _planned(directory: Path, hydra: Sequence[dict[str, Any]], each: JobEntry, check: _Check) -> Planned:
    job = None
    if each.problem is None and each.config is not None and each.directory is not None:
        config = check(each.config, f"job {each.number}")
        job = Job(config, each.choices, tuple(each.overrides), _absolute(each.directory, directory))
    return Planned(
        number=each.number,
        overrides=tuple(each.overrides),
        name=each.name,
        job=job,
        problem=each.problem,
        stands=None if each.stands is None else _absolute(each.stands, directory),
        data_hash=each.data_hash,
        composed=None if each.hydra is None else Composed(hydra[each.hydra], each.raw, each.dirname),
    )


@functools.lru_cache(maxsize=1)
def _read_once(path: Path, _changed: int) -> PlanFile:
    """Read it once for all jobs that a process does."""
    return plan_file.read(path)
