"""Workers: the jobs of a sweep, trained in stacks on all cores; a run's numbers depend on neither of the two."""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

import joblib

from nnlab import resuming
from nnlab.build import stack_key
from nnlab.errors import NnlabError
from nnlab.judge import Judge
from nnlab.signals import interruptible
from nnlab.sweep import stacks
from nnlab.sweep.pool import Pool
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.reporter import Reports
from nnlab.sweep.work import Chunk, Task, Training, Work, judged
from nnlab.watcher import Outcome

_POLL_SECONDS = 0.2


__all__ = ["Task", "check_settings", "train_all"]


class _Backend(Protocol):
    def __call__(
        self, chunks: Iterator[Chunk], training: Training, workers: int, progress: SweepProgress, *, resume: bool
    ) -> None: ...


def train_all(
    tasks: Sequence[Task],
    *,
    parent: str | None,
    progress: SweepProgress,
    n_jobs: int | None = None,
    max_stack: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
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
        backend: ``loky``, or ``sequential`` for training in this process, one stack after the other, or ``dask`` for
            the workers of a cluster.
        scheduler: address of the cluster's.
        resume: go on with the runs that the directories hold; see ``runner.run``.
        begin: is called for each task before it is given away.
        judge: may end runs before their time; those of a task's ``unit`` see each other.

    Raises:
        NnlabError: a setting is out of its range, a directory can't be trained in, or the cluster can't be reached.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when the workers are gone. Their runs count as KILLED, and all that had
            the time have closed their records.
    """
    check_settings(n_jobs, max_stack, backend, scheduler)
    configs = [task.job.config for task in tasks]
    starts = _starts(tasks) if resume else [0] * len(tasks)
    epochs = stacks.epochs(configs)
    progress.begin({task.directory: (task.number, task.name) for task in tasks}, sum(epochs) - sum(starts))
    groups: dict[int, list[int]] = {}
    for position, task in enumerate(tasks):
        groups.setdefault(configs[position].training.blas_threads or task.threads or 1, []).append(position)
    with interruptible(), _opened(backend, scheduler, tasks) as (train, cores):
        for threads, group in groups.items():
            workers = min(n_jobs or cores(threads), len(group))
            todo = [
                stacks.Run(configs[position], epochs[position], 0 if judge else starts[position], tasks[position].unit)
                for position in group
            ]
            cuts = stacks.cut(todo, workers, max_stack)
            chunks = [[tasks[group[position]] for position in positions] for positions in cuts]
            training = Training(parent, threads, max_stack, judge)
            train(_begun(chunks, begin), training, workers, progress, resume=resume)


@contextlib.contextmanager
def _opened(
    backend: str, scheduler: str | None, tasks: Sequence[Task]
) -> Iterator[tuple[_Backend, Callable[[int], int]]]:
    """Give what trains chunks, and how many at a time for so many BLAS threads each."""
    if backend != "dask":
        yield _BACKENDS[backend], lambda threads: max(1, joblib.cpu_count() // threads)
        return
    from nnlab.cluster import connection  # and with it Dask, which takes a second

    assert scheduler is not None  # noqa: S101 - check_settings() has seen to it
    with connection.connect(scheduler, is_tracked=any(task.job.config.tracking.enabled for task in tasks)) as cluster:
        yield cluster.train, lambda _: cluster.workers()


def _starts(tasks: Sequence[Task]) -> list[int]:
    """Return the epochs that runs are to be gone on from."""
    keys = [stack_key(task.job.config) for task in tasks]
    found = resuming.starts([task.directory for task in tasks], keys)
    return [int(folder.name.rpartition("-")[2]) if folder else 0 for folder in found]


def check_settings(n_jobs: object, max_stack: object, backend: object, scheduler: object = None) -> None:
    """Refuse settings that are out of their range, whatever they are.

    Raises:
        NnlabError: one line that names the key.
    """
    for key, value in (("n_jobs", n_jobs), ("max_stack", max_stack)):
        if value is not None and (type(value) is not int or value < 1):
            raise NnlabError(f"hydra.launcher.{key}={value}: must be at least 1, or null for what is the fastest")
    if backend not in (choices := (*_BACKENDS, "dask")):
        shown = ", ".join(choices)
        raise NnlabError(f"hydra.launcher.backend={backend}: there is no such choice; choose from {shown}")
    if (backend == "dask") != (scheduler is not None):
        what = "needs hydra.launcher.scheduler=tcp://HOST:PORT" if backend == "dask" else "has no scheduler"
        raise NnlabError(f"hydra.launcher.backend={backend}: it {what}")
    if scheduler is not None and not isinstance(scheduler, str):
        raise NnlabError(f"hydra.launcher.scheduler={scheduler}: give an address, tcp://HOST:PORT")


def _begun(chunks: Iterable[Chunk], begin: Callable[[Task], object] | None) -> Iterator[Chunk]:
    """Yield chunks, each when its turn has come and all is ready for its tasks."""
    for chunk in chunks:
        if begin:
            for task in chunk:
                begin(task)
        yield chunk


def _sequential(
    chunks: Iterator[Chunk],
    training: Training,
    workers: int,  # noqa: ARG001 - of a ``_Backend``
    progress: SweepProgress,
    *,
    resume: bool,
) -> None:
    """Train one chunk after the other in this process."""
    for chunk in chunks:
        todo = deque([Work(chunk, resume)])
        while todo:
            work, future = todo.popleft(), Future[list[Outcome]]()
            try:
                future.set_result(training.run(work.chunk, progress, resume=work.resume))
            except Exception as error:
                future.set_exception(error)
            todo.extend(judged(work, future, progress, training.parent))


def _loky(chunks: Iterator[Chunk], training: Training, workers: int, progress: SweepProgress, *, resume: bool) -> None:
    """Train chunks in worker processes."""
    again: deque[Work] = deque()
    with Reports(progress.directory) as reports:
        try:
            with Pool[Work, list[Outcome]](reports) as pool:
                while True:
                    while len(pool) < workers and (chunk := next(chunks, None)):
                        pool.submit(Work(chunk, resume), functools.partial(training.run, chunk, resume=resume))
                    if not len(pool) and again:
                        work = again.popleft()
                        pool.submit(work, functools.partial(training.run, work.chunk, resume=work.resume))
                    if not len(pool):
                        break
                    done = pool.done(_POLL_SECONDS)
                    progress.take(reports.read())
                    for work, future in done:
                        again.extend(judged(work, future, progress, training.parent))
        finally:
            progress.take(reports.read())


_BACKENDS: dict[str, _Backend] = {"loky": _loky, "sequential": _sequential}
