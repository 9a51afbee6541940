"""Work: runs that are trained together, and what becomes of them when that ends otherwise than it should."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from nnlab import closing, journal, resuming, runner
from nnlab.compose import Job
from nnlab.errors import NnlabError, describe
from nnlab.judge import Judge
from nnlab.sweep.progress import SweepProgress
from nnlab.watcher import Outcome, Watcher


@dataclass(frozen=True)
class Task:
    """One run of a sweep to be done.

    Attributes:
        number: of the job.
        job: to be done.
        directory: the run's own.
        name: of the run, for people.
        threads: BLAS threads, if the config leaves them open; None for one.
        unit: tasks of the same one are never cut apart, so that a judge sees them together; None for no such tie.
        data_hash: of its data set, as the sweep was planned.
    """

    number: int
    job: Job
    directory: Path
    name: str
    threads: int | None = None
    unit: int | None = None
    data_hash: str | None = None


Chunk = Sequence[Task]


@dataclass(frozen=True)
class Work:
    """Runs that are trained together.

    Attributes:
        chunk: of runs.
        resume: whether what is there is gone on with.
        kills: how often a worker was killed with some of them.
    """

    chunk: Chunk
    resume: bool
    kills: int = 0


@dataclass(frozen=True)
class Training:
    """How all chunks of a sweep are trained.

    Attributes:
        parent: run id of the sweep.
        threads: BLAS threads of the jobs whose config leaves them open.
        max_stack: runs in a stack at most.
        judge: may end runs before their time.
    """

    parent: str | None
    threads: int
    max_stack: int | None = None
    judge: Judge | None = None

    def run(self, chunk: Chunk, progress: Watcher, *, resume: bool) -> list[Outcome]:
        """Train a chunk in this process: see ``runner.run``."""
        return runner.run(
            [task.job for task in chunk],
            [task.directory for task in chunk],
            names=[task.name for task in chunk],
            parent=self.parent,
            progress=progress,
            threads=self.threads,
            max_stack=self.max_stack,
            resume=resume,
            judge=self.judge,
        )


def judged(
    work: Work, future: Future[list[Outcome]], progress: SweepProgress, parent: str | None = None
) -> Iterator[Work]:
    """Take the outcomes of a chunk; where there are none, yield what is to be tried again, alone.

    Args:
        work: that was done.
        future: the outcomes, or what came out instead; an ``NnlabError`` refuses before anything was done.
        progress: is told.
        parent: run id of the sweep.
    """
    error = future.exception()
    if error is None:
        for task, outcome in zip(work.chunk, future.result(), strict=True):
            if task.number not in progress.outcomes:  # it had ended before, so nobody has reported it
                progress.ended(task.directory, outcome, 0)
        return
    is_refused = isinstance(error, NnlabError)  # before anything was done
    resume, kills = (work.resume, 0) if is_refused else (True, work.kills + 1)
    if not is_refused:
        _look_again(work.chunk, progress)
    left = [task for task in work.chunk if task.number not in progress.outcomes]
    if kills == 1 and left:
        yield Work(left, resume, kills)
    elif len(left) > 1:
        half = len(left) // 2
        yield from (Work(part, resume, kills) for part in (left[:half], left[half:]))
    elif left:
        _fail(left[0], error, progress, parent)


def _look_again(chunk: Chunk, progress: SweepProgress) -> None:
    """Count the runs that had ended without having been reported, and the epochs of others that were not saved."""
    for task in chunk:
        if task.number in progress.outcomes:
            continue
        try:
            if not _has_begun(task):
                continue
            record = journal.read(task.directory)
            if record.status == "FINISHED" or record.is_pruned:
                progress.ended(task.directory, Outcome(record.status, record.reason), 0)
            else:
                progress.trained(resuming.start_epoch(task.directory) - max(record.steps, default=0))
        except NnlabError as damaged:
            progress.ended(task.directory, Outcome("FAILED", str(damaged)), 0)


def _fail(task: Task, error: BaseException, progress: SweepProgress, parent: str | None) -> None:
    """Take a run as failed that can't be done, and close its record."""
    reason = describe(error)
    if isinstance(error, BrokenProcessPool):
        how = re.search(r"SIG[A-Z]+|EXIT\(\d+\)", str(error))
        by = f" ({how[0]})" if how else ""
        reason = f"its worker process was killed{by}, and again when it trained alone, perhaps for want of memory"
    try:
        if not isinstance(error, NnlabError):
            threads = task.job.config.training.blas_threads or task.threads or 1
            closing.record_failure(task.job, task.directory, task.name, parent, threads, reason)
    except (NnlabError, OSError) as damaged:  # or in use: it stays as it is
        reason = f"{reason}; {damaged}"
    progress.ended(task.directory, Outcome("FAILED", reason), 0)


def _has_begun(task: Task) -> bool:
    return (task.directory / journal.NAME).is_file() and bool(journal.read(task.directory).run)
