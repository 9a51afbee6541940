"""Plan file: ``sweep.json``, the form in which a sweep's plan is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from nnlab import atomic_file, regular_file
from nnlab.components import validated
from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.sweep.trials import Settings

NAME = "sweep.json"

_MAX_BYTES = 100_000_000  # about 25,000 jobs
_MAX_DEPTH = 24  # more than any config has


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class HydraEntry(BaseModel):
    """Hydra's own settings, of which only what is needed for its record of a job is looked at."""

    model_config = ConfigDict(extra="allow", strict=True)

    output_subdir: str | None
    overrides: dict[str, Any]
    job: dict[str, Any]
    runtime: dict[str, Any]


class JobEntry(_Model):
    """One job.

    Attributes:
        number: from 0.
        name: what was swept.
        overrides: all of them.
        directory: seen from the sweep's; null if the job can't run.
        choices: group -> name of the choice.
        config: resolved; null if the job can't run.
        problem: why it can't.
        stands: directory of a finished run elsewhere that is the same, seen from the sweep's.
        data_hash: of its data set.
        hydra: position of its settings of Hydra.
        raw: see ``plan.Composed``.
        dirname: likewise.
    """

    number: int
    name: str
    overrides: list[str]
    directory: str | None
    choices: dict[str, str]
    config: dict[str, Any] | None
    problem: str | None
    stands: str | None
    data_hash: str | None
    hydra: Annotated[int, Field(ge=0)] | None
    raw: dict[str, Any]
    dirname: str


class TrialEntry(_Model):
    """One trial of a search; see ``trials.Trial``."""

    number: int
    seen: Annotated[int, Field(ge=0)]
    params: dict[str, Any]
    runs: list[int]


class SearchEntry(_Model):
    """What makes a sweep a search; see ``trials.Search``."""

    settings: Settings
    space: list[str]
    groups: list[str]
    bases: list[JobEntry]
    trials: list[TrialEntry]


class PlanFile(_Model):
    """All of it.

    Attributes:
        version: of the form.
        code_version: of the sources that the sweep was planned with.
        given: the sweep's overrides.
        swept: the keys that differ between its jobs.
        launcher: Hydra's launcher with its settings.
        hydra: Hydra's own settings, one entry for each set of group choices.
        jobs: in the order of their numbers.
        search: null but of a search.
    """

    version: Literal[1]
    code_version: str
    given: list[str]
    swept: list[str]
    launcher: dict[str, Any]
    hydra: list[HydraEntry]
    jobs: list[JobEntry]
    search: SearchEntry | None = None

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield what is shown or becomes a path, each with its place; configs have a check of their own."""
        for text in (self.code_version, *self.given, *self.swept):
            yield "given, swept", text
        for text in (*self.search.space, *self.search.groups) if self.search else ():
            yield "search", text
        for job in self.entries():
            single = (job.name, job.directory, job.problem, job.stands)
            several = (*job.overrides, *job.choices, *job.choices.values())
            yield from ((f"jobs[{job.number}]", text) for text in (*single, *several) if text is not None)

    def entries(self) -> list[JobEntry]:
        """Return the jobs, and those that a search makes them from."""
        return [*self.jobs, *(self.search.bases if self.search else [])]


def write(path: Path, file: PlanFile) -> None:
    """Write a plan, whole or not at all, a line a job.

    Raises:
        NnlabError: it is too large to be read again.
        OSError: the file system refuses.
    """
    node = dict(file)
    jobs = ",\n".join(_json(job.model_dump()) for job in node.pop("jobs"))
    node["hydra"] = [settings.model_dump() for settings in file.hydra]
    if (search := node.pop("search")) is not None:
        node["search"] = search.model_dump()
    head = [f"{json.dumps(key)}: {_json(value)}" for key, value in node.items()]
    text = ",\n".join([*head, f'"jobs": [\n{jobs}\n]'])
    data = f"{{\n{text}\n}}\n".encode()
    if len(data) > _MAX_BYTES:
        raise NnlabError(f"{len(file.jobs):,} jobs are more than one sweep can have: divide it into several")
    atomic_file.write(path, data)


def read(path: Path) -> PlanFile:
    """Read a plan, its form checked but not what is in its configs.

    Raises:
        NnlabError: there is none, or it is damaged; one line.
    """
    node = parse(path)
    try:
        file = validated(PlanFile, node)
    except NnlabError as error:
        raise NnlabError(one_line(f"{path}: {error}")) from error
    assert isinstance(file, PlanFile)  # noqa: S101 - what validated() makes
    if any(job.number != number for number, job in enumerate(file.jobs)):
        raise NnlabError(f"{path}: its jobs are not numbered 0, 1, 2, ...")
    for job in file.entries():
        if job.problem is None and (job.config is None or job.directory is None):
            raise NnlabError(f"{path}: job {job.number} has no config or no directory")
        if job.hydra is not None and job.hydra >= len(file.hydra):
            raise NnlabError(f"{path}: job {job.number}: hydra={job.hydra}, and there are {len(file.hydra)} of them")
    if file.search is not None:
        _check_trials(path, file, file.search)
    return file


def _check_trials(path: Path, file: PlanFile, search: SearchEntry) -> None:
    if not search.bases or any(base.problem is not None for base in search.bases):
        raise NnlabError(f"{path}: a search wants bases that can run")
    if any(trial.number != number for number, trial in enumerate(search.trials)):
        raise NnlabError(f"{path}: its trials are not numbered 0, 1, 2, ...")
    if [run for trial in search.trials for run in trial.runs] != list(range(len(file.jobs))):
        raise NnlabError(f"{path}: its jobs are not those of its trials, one after the other")


def parse(path: Path) -> dict[str, Any]:
    """Read the file as JSON alone.

    Raises:
        NnlabError: there is none, or it is damaged; one line.
    """
    if not os.path.lexists(path):
        raise NnlabError(f"{path.parent} holds no sweep: there is no {NAME} in it")
    try:
        node = json.loads(regular_file.read(path, _MAX_BYTES), parse_constant=_refuse)
        is_too_deep = _depth(node) > _MAX_DEPTH
    except (ValueError, RecursionError) as error:
        raise NnlabError(one_line(f"{path} is damaged: {error}")) from error
    if is_too_deep or not isinstance(node, dict):
        raise NnlabError(f"{path} is damaged: it is {'nested too deep' if is_too_deep else 'no JSON object'}")
    return node


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number that a plan has")


def _depth(node: Any) -> int:
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return 1 + max(map(_depth, inside), default=0)
