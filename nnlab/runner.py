"""Run: the composition root. From jobs to trained networks and their records."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from nnlab import closing, environment, journal, memory, paths, resuming, snapshot
from nnlab.build import Stack, build, stack_key
from nnlab.compose import Job
from nnlab.errors import NnlabError, describe
from nnlab.journal import NAME
from nnlab.judge import Judge
from nnlab.recorded_training import RecordedTraining
from nnlab.recorder import Recorder
from nnlab.run_header import header, identity
from nnlab.signals import held, interruptible
from nnlab.tracking import follower
from nnlab.watcher import Outcome, Watcher


class _Run(NamedTuple):
    """One run to be done: where, and which checkpoint it is gone on from, if any."""

    place: int
    job: Job
    directory: Path
    name: str
    run_id: str | None
    start: Path | None

    @property
    def epoch(self) -> int | None:
        return int(self.start.name.rpartition("-")[2]) if self.start else None


class _Circumstances(NamedTuple):
    """What all runs of one call have in common."""

    parent: str | None
    tags: Mapping[str, str]
    threads: int
    watcher: Watcher | None
    resume: bool
    writer: Executor
    judge: Judge | None


def check(job: Job) -> None:
    """Build a job's objects without training, so that what can't work is refused before anything is written.

    Raises:
        NnlabError: one line about what is wrong.
    """
    try:
        build([job.config])
    except MemoryError as error:
        raise NnlabError(f"the run does not fit into memory: {error}") from error


def default_name(job: Job) -> str:
    """Return the name of a run that is not part of a sweep: ``wine-mlp-tanh-s0``."""
    choices = job.choices
    return f"{choices['dataset']}-{choices['architecture']}-{choices['activation']}-s{job.config.seed}"


def run(
    jobs: Sequence[Job],
    directories: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    run_ids: Sequence[str] | None = None,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Watcher | None = None,
    threads: int | None = None,
    max_stack: int | None = None,
    resume: bool = False,
    judge: Judge | None = None,
) -> list[Outcome]:
    """Train some jobs, each with a directory and a record of its own; a lone run is a stack of one.

    Those that can share a stack are trained side by side, in stacks of the size that is the fastest
    (``memory.best_stack``), one stack after the other. What goes wrong with one of them ends that one alone.

    Args:
        jobs: of any kind.
        directories: one a job.
        names: of the runs, for people; by default what they are made of.
        run_ids: of them, wherever they are begun; by default new ones.
        parent: run id of the sweep.
        tags: further ones of each run, name -> text.
        progress: is told how it goes.
        threads: BLAS threads of the jobs whose config leaves them open; None for as many as BLAS takes by itself.
        max_stack: runs in a stack at most; None for no other limit.
        resume: go on with the runs that the directories hold, from their last checkpoints; finished ones stand.
        judge: may end runs before their time; it sees those of a stack, so that these are not cut apart then.

    Returns:
        one outcome a job: FINISHED, or FAILED if its numbers became NaN or Inf, or anything else went wrong.

    Raises:
        NnlabError: a directory is in use, or a run can't be gone on with; nothing has been done then.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the records are closed as KILLED first.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[_Run] = []
    names = names or [default_name(job) for job in jobs]
    ids: Sequence[str | None] = run_ids or [None] * len(jobs)
    for place, (job, directory, name, run_id) in enumerate(zip(jobs, directories, names, ids, strict=True)):
        if resume and not resuming.is_unfinished(directory):
            ended = journal.replay(directory)
            outcomes[place] = Outcome(ended.status, ended.reason)
            continue
        if not resume:
            resuming.check_unused(directory)
        waiting.append(_Run(place, job, directory, name, run_id, None))
    if resume:
        there = [each.directory for each in waiting]
        keys = [stack_key(each.job.config) for each in waiting]
        found = resuming.starts(there, keys) if judge is None else resuming.together(there)
        waiting = [each._replace(start=start) for each, start in zip(waiting, found, strict=True)]
    groups: dict[tuple[str, int | None], list[_Run]] = {}
    for each in waiting:
        groups.setdefault((stack_key(each.job.config), each.epoch), []).append(each)
    with interruptible(), ThreadPoolExecutor(1, "checkpoints") as writer:
        for group in groups.values():
            with environment.blas_threads(group[0].job.config.training.blas_threads or threads) as used:
                of_all = _Circumstances(parent, tags or {}, used, progress, resume, writer, judge)
                for stack in _cut(group, max_stack) if judge is None else [group]:
                    outcomes |= _run_stack(stack, of_all)
    return [outcomes[place] for place in range(len(jobs))]


def _cut(group: Sequence[_Run], max_stack: int | None) -> list[Sequence[_Run]]:
    """Cut runs into stacks; those that train about as long together, as the longest one decides how long it lasts."""
    ordered = sorted(group, key=lambda each: each.job.config.training.epochs)
    try:
        size = min(memory.best_stack([each.job.config for each in group]), max_stack or len(group))
    except (NnlabError, MemoryError):  # the first one can't be built: each will be asked for itself
        size = 1
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _run_stack(runs: Sequence[_Run], of_all: _Circumstances) -> dict[int, Outcome]:
    """Train a stack; if that goes wrong as a whole, train its halves, so that only a culprit fails."""
    recorders: dict[int, Recorder] = {}
    training: RecordedTraining | None = None
    try:
        stack = build([each.job.config for each in runs])
        starts = [resuming.load(each.start) if each.start else None for each in runs]
        for replica, (each, start) in enumerate(zip(runs, starts, strict=True)):
            with held():  # or there could be a record that nobody knows of, with its lock
                recorders[each.place] = _recorder(stack, replica, each, start, of_all)
            if start is not None:
                snapshot.restore(stack, replica, start)
        _track(runs, recorders.values())
        after = (starts[0].epoch, int(starts[0].manifest["step"])) if starts[0] else None
        training = RecordedTraining(stack, list(recorders.values()), of_all.watcher, after, of_all.judge)
        training.train()
        return {place: training.outcomes[recorder] for place, recorder in recorders.items()}
    except BaseException as error:
        done = training.outcomes if training else {}
        ended = {place: done[recorder] for place, recorder in recorders.items() if recorder in done}
        left = [each for each in runs if each.place not in ended]
        open_recorders = [recorders[each.place] for each in left if each.place in recorders]
        if not isinstance(error, Exception):
            closing.kill(open_recorders)
            closing.kill_beginning(each.directory for each in left if each.place not in recorders)
            raise
        if len(left) == 1:
            return ended | {left[0].place: _fail(left[0], open_recorders, of_all, error)}
        for recorder in open_recorders:
            recorder.release(traceback.format_exc())
        half = len(left) // 2
        for part in (left[:half], left[half:]):
            again = [each._replace(start=resuming.start(each.directory)) for each in part]
            for epoch in dict.fromkeys(each.epoch for each in again):
                alike = [each for each in again if each.epoch == epoch]
                ended |= _run_stack(alike, of_all._replace(resume=True))
        return ended


def _recorder(
    stack: Stack, replica: int, run: _Run, start: snapshot.Snapshot | None, of_all: _Circumstances
) -> Recorder:
    return Recorder(
        run.job,
        run.directory,
        run.name,
        of_all.parent,
        header(stack, replica),
        identity(stack, replica, of_all.threads),
        of_all.threads,
        of_all.tags,
        of_all.writer,
        run_id=run.run_id,
        restores_best=stack.restores_best,
        resume=of_all.resume,
        start=start,
    )


def _track(runs: Sequence[_Run], recorders: Iterable[Recorder]) -> None:
    """See to it that there is a tracker; one that can't be started now is no reason not to train."""
    tracked = [run.directory for run in runs if run.job.config.tracking.enabled]
    if not tracked:
        return
    try:
        follower.ensure(paths.outputs_dir(), tracked)
    except OSError as error:
        for recorder in recorders:
            recorder.log(f"no tracker could be started ({error}): `nnlab sync` brings the run into MLflow")


def _fail(run: _Run, recorders: Sequence[Recorder], of_all: _Circumstances, error: Exception) -> Outcome:
    """Close a run that can't be trained, even if there is nothing yet that could be recorded of it."""
    reason = describe(error)
    outcome = Outcome("FAILED", reason)
    if recorders:
        outcome = recorders[0].close("FAILED", reason, traceback.format_exc())
    elif isinstance(error, OSError) or not (run.directory / NAME).exists():
        with contextlib.suppress(OSError):  # of which the outcome tells
            closing.record_failure(run.job, run.directory, run.name, of_all.parent, of_all.threads, reason, of_all.tags)
    if of_all.watcher:
        of_all.watcher.ended(run.directory, outcome, run.job.config.training.epochs)
    return outcome
