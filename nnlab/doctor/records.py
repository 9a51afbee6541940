"""Records: runs that died, runs that MLflow has not got, runs that only MLflow has."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nnlab import journal, journal_lines, locks
from nnlab.doctor import stores
from nnlab.doctor.remark import Remark, count, some, trouble
from nnlab.errors import NnlabError
from nnlab.tracking import cursor, runs, store


@dataclass(frozen=True)
class Glance:
    """What the first and the last line of a run's journal say.

    Attributes:
        directory: of the run.
        run_id: of ours; None if there is no whole line yet.
        is_alive: whether a process writes it.
        is_closed: whether it has a status.
        is_tracked: whether it is to be mirrored.
        is_sweep: whether it is a sweep's.
        problem: what is wrong with the journal.
        torn: what there is to say of its end, which nobody writes any more and is no whole line.
    """

    directory: Path
    run_id: str | None = None
    is_alive: bool = False
    is_closed: bool = False
    is_tracked: bool = False
    is_sweep: bool = False
    problem: str | None = None
    torn: str | None = None


@lru_cache(maxsize=1)
def glances(outputs: Path) -> list[Glance]:
    """Return a glance at every run of an outputs root."""
    return [_glance(directory) for directory in runs.find(outputs)]


def _glance(directory: Path) -> Glance:
    path = directory / journal.NAME
    is_alive = False
    try:
        is_alive = locks.is_locked(path)
        head = next((event for event, _ in journal_lines.read_events(path)), None)
        _, last = journal_lines.last(path)
        torn = journal_lines.torn(path)
    except OSError as error:
        return Glance(directory, is_alive=is_alive, problem=f"{path} can't be read: {error.strerror}")
    except NnlabError as error:
        return Glance(directory, is_alive=is_alive, problem=str(error))
    if head is None or last is None:  # killed before its first line was whole
        return Glance(directory, is_alive=is_alive, problem=None if is_alive else f"{path} holds no whole line")
    if head["type"] != "run" or not isinstance(head["run_id"], str):
        return Glance(directory, is_alive=is_alive, problem=f"{path} doesn't begin with a run")
    return Glance(
        directory,
        run_id=head["run_id"],
        is_alive=is_alive,
        is_closed=last["type"] == "status",
        is_tracked=bool(head.get("tracking")),
        is_sweep="jobs" in head,
        torn=torn,
    )


def _numbers(outputs: Path) -> str:
    """Return how many runs and sweeps there are."""
    seen = glances(outputs)
    sweeps = sum(each.is_sweep for each in seen)
    beside = f" and {count(sweeps, 'sweep')}" if sweeps else ""
    return f"{count(len(seen) - sweeps, 'run')}{beside}"


def histories(outputs: Path) -> Iterator[Remark]:
    """Check that each run is alive or closed, and that its journal begins and ends as one."""
    seen = glances(outputs)
    for each in seen:
        if each.problem:
            remedy = f"move the folder away: mv {shlex.quote(str(each.directory))} /somewhere"
            yield trouble("runs", each.problem, remedy)
        if each.torn:
            yield Remark("runs", each.torn)
    dead = [each for each in seen if not (each.is_alive or each.is_closed or each.problem)]
    sweeps = [each.directory for each in dead if each.is_sweep]
    lone = [each.directory for each in dead if not each.is_sweep and each.directory.parent not in sweeps]
    for kind, directories in (("sweep", sweeps), ("run", lone)):
        if directories:
            text = f"{count(len(directories), kind)} died without being closed: {some(directories)}"
            yield trouble("runs", text, f"run: nnlab resume {shlex.quote(str(directories[0]))}")
    alive = sum(each.is_alive and not each.is_sweep for each in seen)
    if not dead and not any(each.problem for each in seen):
        yield Remark("runs", f"{_numbers(outputs)}{f', {alive} of them training' if alive else ''}")


def mirrored(outputs: Path) -> Iterator[Remark]:
    """Check that all runs that have ended are in the store."""
    key = store.key(store.uri(outputs))
    ended = [each for each in glances(outputs) if each.is_tracked and not (each.is_alive or each.problem)]
    left = [each.directory for each in ended if not cursor.is_mirrored(each.directory, key)]
    if not left:
        if ended:
            yield Remark("mirror", f"all {len(ended):,} that are to be in MLflow are there")
        return
    problems = [cursor.read(directory, key).problem for directory in left]
    why = next((f" ({problem})" for problem in problems if problem), "")
    text = f"{count(len(left), 'run is', 'runs are')} not in MLflow: {some(left)}{why}"
    yield trouble("mirror", text, "run: nnlab sync")


def orphans(outputs: Path) -> Iterator[Remark]:
    """Check for runs of ours in the store that nobody will ever close, or whose directories are gone."""
    here = {each.run_id: each for each in glances(outputs)}
    rows = stores.rows(
        outputs,
        "SELECT runs.run_uuid, runs.name, status, value FROM runs JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'nnlab.run_id' AND lifecycle_stage = 'active'",
    )
    running = [(name, here[own]) for _, name, status, own in rows if status == "RUNNING" and own in here]
    open_ones = [name for name, glance in running if not glance.is_alive]
    if open_ones:
        text = f"{count(len(open_ones), 'run')} RUNNING in MLflow, and no process trains them: {some(open_ones)}"
        yield trouble("mirror", text, "run: nnlab sync")
    gone = [(mlflow_id, name) for mlflow_id, name, _, own in rows if own not in here]
    if gone and store.is_own(store.uri(outputs), outputs):
        text = f"{count(len(gone), 'run')} in MLflow without a directory here: {some([name for _, name in gone])}"
        remedy = "put the directories back, or delete them in MLflow's UI"
        yield trouble("mirror", text, f"{remedy} (the first is run {gone[0][0]})")
