"""Resumption: the verb ``resume``, which finishes a sweep that was stopped, or a run."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnlab import app, journal, locks, paths, resuming, runner
from nnlab.errors import NnlabError
from nnlab.index import Entry
from nnlab.mirroring import say_where
from nnlab.output import say
from nnlab.saved_config import used_threads
from nnlab.sweep import course, frozen, hydra_record, plan_file
from nnlab.sweep.plan import Planned, Sweep
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.run_resumption import check_links, check_unchanged, readable, resume_run
from nnlab.sweep.workers import Task, train_all
from nnlab.tracking import runs

_GRACE_SECONDS = 3.0
_SETTINGS = {
    "n_jobs": (int, type(None)),
    "max_stack": (int, type(None)),
    "backend": (str,),
    "scheduler": (str, type(None)),
}


def resume(directory: Path, *, retry_failed: bool = False, trusted: Collection[str] = ()) -> int:
    """Finish what is missing of a sweep or a run: jobs that have not begun, and those that were interrupted.

    They are done as they were planned, the interrupted ones from their last checkpoint into the same record, so that
    the end is what it would have been without the stop. What has finished is left untouched.

    Args:
        directory: of the sweep or the run.
        retry_failed: do the runs that failed as well.
        trusted: targets that a saved config may name though nnlab does not ship them.

    Returns:
        the exit code.

    Raises:
        NnlabError: there is nothing that can be gone on with, code or data are others by now, or another process is at
            it: nothing has been changed then. Or a run failed.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when the records are closed.
    """
    directory = directory.expanduser().resolve()
    is_sweep = (directory / plan_file.NAME).exists()
    if not is_sweep and not (directory / journal.NAME).is_file():
        raise NnlabError(f"{directory} holds no run and no planned sweep, so there is nothing to go on with")
    with _outputs_root_of(directory):
        if is_sweep:
            _resume_sweep(frozen.thaw(directory, trusted), retry_failed)
        elif (resumed := resume_run(directory, retry_failed, trusted)) is not None:
            app.end(directory, *resumed)
    return 0


@contextmanager
def _outputs_root_of(directory: Path) -> Iterator[None]:
    """Use the outputs root that a run or sweep lies in, and with it its MLflow store, from whichever folder we are in.

    The environment tells it to workers and tracker, whatever it has named before: elsewhere the same runs would be
    others.
    """
    folder = next((each for each in directory.parents[:2] if each.name in ("runs", "sweeps")), None)
    here = paths.outputs_dir()
    if folder is None or folder.parent == here or directory in runs.find(here):
        yield
        return
    before = os.environ.get("NNLAB_OUTPUTS")
    os.environ["NNLAB_OUTPUTS"] = str(folder.parent)
    say(f"{folder.parent} is taken as the outputs root, as this lies in it")
    try:
        yield
    finally:
        if before is None:
            del os.environ["NNLAB_OUTPUTS"]
        else:
            os.environ["NNLAB_OUTPUTS"] = before


def _resume_sweep(sweep: Sweep, retry_failed: bool) -> None:
    if sweep.search is not None:
        from nnlab.search.resumption import resume_search  # with Optuna, which not everybody has

        resume_search(sweep, retry_failed)
        return
    with readable(sweep.directory):
        wait_for_others(sweep)
        found = course.entries(sweep)
        if lost := _lost(sweep, found):
            planned = (replace(each, stands=None) if each.number in lost else each for each in sweep.planned)
            sweep = replace(sweep, planned=tuple(planned))
            found = course.entries(sweep)
        todo = _todo(sweep, found, retry_failed)
        if not todo and _is_closed(sweep, found):
            course.wait(sweep, found)  # perhaps everything but the tracker had come to its end
            failed = any(entry.status == "FAILED" for entry in found.values())
            done = f"nothing to do: {_counts(sweep, found)}{'; --retry-failed trains them again' if failed else ''}"
            if any(entry.status != "FINISHED" for entry in found.values()) or len(found) < len(sweep.planned):
                raise NnlabError(done, exit_code=1)
            say(done)
            return
        check_links(sweep.directory)
        check_unchanged(
            sweep.directory, [(each.job.config, each.data_hash) for each in todo if each.job], sweep.code_version
        )
        tasks = _tasks(sweep, todo, found)
        settings = launcher_settings(sweep)
        damage = [problem for task in tasks for problem in resuming.damage(task.directory)]
    say_where(course.config(sweep).tracking.enabled)
    say(f"sweep    {sweep.directory}")
    say(f"jobs     {len(sweep.planned)}: {_counts(sweep, found)}; to do: {len(todo)}")
    for problem in damage:
        say(f"damaged  {problem}: its job goes on from an earlier checkpoint, or begins again")
    by_number = {each.number: each for each in todo}

    def train(parent: str) -> None:
        if lost:
            frozen.freeze(sweep)
        if not tasks:
            return
        with SweepProgress(sweep.directory) as progress:
            train_all(
                tasks,
                parent=parent,
                progress=progress,
                resume=True,
                begin=lambda task: hydra_record.write(task.directory, by_number[task.number]),
                **settings,
            )

    course.run(sweep, train)


def wait_for_others(sweep: Sweep) -> None:
    """Give the workers of a sweep that was just killed a moment to be gone; refuse if somebody stays at it."""
    deadline = time.monotonic() + _GRACE_SECONDS
    for directory in (sweep.directory, *(each.job.directory for each in sweep.planned if each.job)):
        while locks.is_locked(directory / journal.NAME):
            if time.monotonic() > deadline:
                raise NnlabError(f"{directory} is at work in another process: wait until it has ended, or end it")
            time.sleep(0.05)


def _lost(sweep: Sweep, found: Mapping[int, Entry]) -> set[int]:
    """Return the jobs that stood elsewhere, in a run that is gone or no longer finished."""
    finished = {number for number, entry in found.items() if entry.status == "FINISHED"}
    return {each.number for each in sweep.planned if each.stands is not None} - finished


def _todo(sweep: Sweep, found: Mapping[int, Entry], retry_failed: bool) -> list[Planned]:
    """Return the jobs that are to be trained."""
    stays = {"FINISHED"} if retry_failed else {"FINISHED", "FAILED"}
    ended = {number for number, entry in found.items() if entry.status in stays}
    return [each for each in sweep.planned if each.is_to_train and each.number not in ended]


def _is_closed(sweep: Sweep, found: Mapping[int, Entry]) -> bool:
    """Say whether the sweep's own record has come to an end that is still true."""
    if not (sweep.directory / journal.NAME).is_file():
        return False
    finished = sum(entry.status == "FINISHED" for entry in found.values())
    return journal.read(sweep.directory).status == ("FINISHED" if finished == len(sweep.planned) else "FAILED")


def _tasks(sweep: Sweep, todo: Sequence[Planned], found: Mapping[int, Entry]) -> list[Task]:
    """Return what is to be done, each run with the BLAS threads that it began with.

    Those that have not begun get the threads of the others whose config leaves them open too: Hydra's own launchers let
    BLAS take all cores.
    """
    used = {number: used_threads(entry.params) for number, entry in found.items()}
    left_open = [each.number for each in sweep.planned if each.job and each.job.config.training.blas_threads is None]
    usual = next((threads for number in left_open if (threads := used.get(number))), None)
    tasks = []
    for each in todo:
        assert each.job is not None  # noqa: S101 - only those that can run are to be trained
        name = each.name or runner.default_name(each.job)
        threads = used.get(each.number) or usual
        tasks.append(Task(each.number, each.job, each.job.directory, name, threads, data_hash=each.data_hash))
    return tasks


def launcher_settings(sweep: Sweep) -> dict[str, Any]:
    """Return the settings of the stacked launcher, if the sweep was begun with it."""
    given = {key: value for key, value in sweep.launcher.items() if "max_stack" in sweep.launcher and key in _SETTINGS}
    for key, value in given.items():
        if not isinstance(value, _SETTINGS[key]):
            raise NnlabError(f"{sweep.directory / plan_file.NAME}: launcher.{key}={value!r} is no setting of it")
    return given


def _counts(sweep: Sweep, found: Mapping[int, Entry]) -> str:
    states = ["can't run" if each.problem else "not begun" for each in sweep.planned if each.number not in found]
    counts = Counter([*(entry.status for entry in found.values()), *states])
    return ", ".join(f"{count} {status}" for status, count in counts.items())
