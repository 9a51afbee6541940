"""Workers: many runs on all cores, a process each where a run has one BLAS thread."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib

from nnlab import memory, runner
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.terminal import console

_CLOSING_SECONDS = 20.0


def train_all(
    jobs: Sequence[Job], directories: Sequence[Path], names: Sequence[str], parent: str, title: str, cores: int
) -> None:
    """Train jobs that could share a stack, in stacks that are small enough for every core to have one.

    A run's numbers depend neither on its stack nor on the process. Processes are used only where the config asks for
    so few BLAS threads that there are cores left: otherwise the threads have them all.

    Args:
        jobs: see ``runner.run``.
        directories: likewise.
        names: likewise.
        parent: run id of the sweep.
        title: to show while they train.
        cores: to be used.

    Raises:
        NnlabError: the jobs can't be built, or a worker was killed.
        KeyboardInterrupt: on Ctrl-C; the workers end, and their runs' records are closed by them or count as KILLED.
    """
    threads = jobs[0].config.training.blas_threads
    workers = min(cores // threads, len(jobs)) if threads else 1
    if workers <= 1:
        with Progress(title, lines=5) as progress:
            runner.run(jobs, directories, names=names, parent=parent, progress=progress)
        return
    size = min(memory.best_stack([job.config for job in jobs]), math.ceil(len(jobs) / workers))
    cuts = [slice(start, start + size) for start in range(0, len(jobs), size)]
    tasks = (joblib.delayed(_train)(jobs[cut], directories[cut], names[cut], parent, os.getpid()) for cut in cuts)
    done = 0
    try:
        with console().status(f"{title}, {workers} at a time"):
            for trained in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(tasks):
                done += trained
                say(f"{title}  {done} done")
    except BrokenProcessPool as error:
        raise NnlabError(
            f"{title}: a worker process was killed, perhaps for want of memory; finished runs are kept, so the same "
            "command goes on where it was",
            exit_code=1,
        ) from error


def _train(jobs: Sequence[Job], directories: Sequence[Path], names: Sequence[str], parent: str, starter: int) -> int:
    if os.getppid() != starter:
        os._exit(1)
    ended = threading.Event()
    threading.Thread(target=_end_with, args=(starter, ended), daemon=True).start()
    try:
        runner.run(jobs, directories, names=names, parent=parent)
    finally:
        ended.set()
    return len(jobs)


def _end_with(starter: int, ended: threading.Event) -> None:
    """End this process when the one that started it has been killed: its runs are closed, no further ones begun."""
    while not ended.wait(0.5):
        if os.getppid() != starter:
            os.kill(os.getpid(), signal.SIGTERM)  # for `runner.run` an interrupt
            ended.wait(_CLOSING_SECONDS)
            os._exit(1)
