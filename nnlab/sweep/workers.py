"""Workers: the jobs of a sweep, trained in stacks on all cores; a run's numbers depend on neither of the two."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

import joblib

from nnlab import resuming, runner
from nnlab.build import stack_key
from nnlab.errors import NnlabError
from nnlab.judge import Judge
from nnlab.signals import interruptible
from nnlab.sweep import stacks
from nnlab.sweep.pool import Pool
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.reporter import Reports
from nnlab.sweep.work import Chunk, Task, Work, judged
from nnlab.watcher import Outcome, Watcher

_POLL_SECONDS = 0.2


__all__ = ["Task", "check_settings", "train_all"]


class _Train(Protocol):
    """``runner.run`` with all that is the same for every chunk."""

    def __call__(self, chunk: Chunk, progress: Watcher, *, resume: bool) -> list[Outcome]: ...


class _Backend(Protocol):
    def __call__(
        self,
        chunks: Iterator[Chunk],
        train: _Train,
        workers: int,
        progress: SweepProgress,
        *,
        parent: str | None,
        resume: bool,
    ) -> None: ...


def train_all(
    tasks: Sequence[Task],
    *,
    parent: str | None,
    progress: SweepProgress,
    n_jobs: int | None = None,
    max_stack: int | None = None,
    backend: str = "loky",
    resume: bool = False,
    begin: Callable[[Task], object] | None = None,
    judge: Judge | None = None,
) -> None:
    """Train jobs of any kind on several processes, those that can share a stack in stacks.

    How they ended is in ``progress.outcomes``. One that fails in any way spares the others. What a worker was at that
    was killed is gone on with when the others are done, alone, for it may have been the memory; and in halves where
    that is killed again, until it is found which run can't be done, which then ends as FAILED.

    Args:
        tasks: in any order; the most expensive stack is trained first.
        parent: run id of the sweep.
        progress: is told how it goes.
        n_jobs: processes; by default as many as there are cores, or fewer if the configs ask for several BLAS threads
            each. They have one where neither the config nor the task says how many.
        max_stack: runs in a stack at most; by default as many as are fast.
        backend: ``loky``, or ``sequential`` for training in this process, one stack after the other.
        resume: go on with the runs that the directories hold; see ``runner.run``.
        begin: is called for each task before it is given away.
        judge: may end runs before their time; those of a task's ``unit`` see each other.

    Raises:
        NnlabError: a setting is out of its range, or a directory can't be trained in.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when the workers are gone. Their runs count as KILLED, and all that had
            the time have closed their records.
    """
    check_settings(n_jobs, max_stack, backend)
    configs = [task.job.config for task in tasks]
    starts = _starts(tasks) if resume else [0] * len(tasks)
    epochs = stacks.epochs(configs)
    progress.begin({task.directory: (task.number, task.name) for task in tasks}, sum(epochs) - sum(starts))
    groups: dict[int, list[int]] = {}
    for position, task in enumerate(tasks):
        groups.setdefault(configs[position].training.blas_threads or task.threads or 1, []).append(position)
    with interruptible():
        for threads, group in groups.items():
            workers = min(n_jobs or max(1, joblib.cpu_count() // threads), len(group))
            todo = [
                stacks.Run(configs[position], epochs[position], 0 if judge else starts[position], tasks[position].unit)
                for position in group
            ]
            cuts = stacks.cut(todo, workers, max_stack)
            chunks = [[tasks[group[position]] for position in positions] for positions in cuts]
            train = functools.partial(_train, parent=parent, threads=threads, max_stack=max_stack, judge=judge)
            _BACKENDS[backend](_begun(chunks, begin), train, workers, progress, parent=parent, resume=resume)


def _starts(tasks: Sequence[Task]) -> list[int]:
    """Return the epochs that runs are to be gone on from."""
    keys = [stack_key(task.job.config) for task in tasks]
    found = resuming.starts([task.directory for task in tasks], keys)
    return [int(folder.name.rpartition("-")[2]) if folder else 0 for folder in found]


def check_settings(n_jobs: object, max_stack: object, backend: object) -> None:
    """Refuse settings that are out of their range, whatever they are.

    Raises:
        NnlabError: one line that names the key.
    """
    for key, value in (("n_jobs", n_jobs), ("max_stack", max_stack)):
        if value is not None and (type(value) is not int or value < 1):
            raise NnlabError(f"hydra.launcher.{key}={value}: must be at least 1, or null for what is the fastest")
    if not isinstance(backend, str) or backend not in _BACKENDS:
        choices = ", ".join(_BACKENDS)
        raise NnlabError(f"hydra.launcher.backend={backend}: there is no such choice; choose from {choices}")


def _begun(chunks: Iterable[Chunk], begin: Callable[[Task], object] | None) -> Iterator[Chunk]:
    """Yield chunks, each when its turn has come and all is ready for its tasks."""
    for chunk in chunks:
        if begin:
            for task in chunk:
                begin(task)
        yield chunk


def _train(
    chunk: Chunk,
    progress: Watcher,
    *,
    resume: bool,
    parent: str | None,
    threads: int,
    max_stack: int | None,
    judge: Judge | None,
) -> list[Outcome]:
    return runner.run(
        [task.job for task in chunk],
        [task.directory for task in chunk],
        names=[task.name for task in chunk],
        parent=parent,
        progress=progress,
        threads=threads,
        max_stack=max_stack,
        resume=resume,
        judge=judge,
    )


def _sequential(
    chunks: Iterator[Chunk],
    train: _Train,
    workers: int,  # noqa: ARG001 - of a ``_Backend``
    progress: SweepProgress,
    *,
    parent: str | None,
    resume: bool,
) -> None:
    """Train one chunk after the other in this process."""
    for chunk in chunks:
        todo = deque([Work(chunk, resume)])
        while todo:
            work, future = todo.popleft(), Future[list[Outcome]]()
            try:
                future.set_result(train(work.chunk, progress, resume=work.resume))
            except Exception as error:
                future.set_exception(error)
            todo.extend(judged(work, future, progress, parent))


def _loky(
    chunks: Iterator[Chunk],
    train: _Train,
    workers: int,
    progress: SweepProgress,
    *,
    parent: str | None,
    resume: bool,
) -> None:
    """Train chunks in worker processes."""
    again: deque[Work] = deque()
    with Reports(progress.directory) as reports:
        try:
            with Pool[Work, list[Outcome]](reports) as pool:
                while True:
                    while len(pool) < workers and (chunk := next(chunks, None)):
                        pool.submit(Work(chunk, resume), functools.partial(train, chunk, resume=resume))
                    if not len(pool) and again:
                        work = again.popleft()
                        pool.submit(work, functools.partial(train, work.chunk, resume=work.resume))
                    if not len(pool):
                        break
                    done = pool.done(_POLL_SECONDS)
                    progress.take(reports.read())
                    for work, future in done:
                        again.extend(judged(work, future, progress, parent))
        finally:
            progress.take(reports.read())


_BACKENDS: dict[str, _Backend] = {"loky": _loky, "sequential": _sequential}
