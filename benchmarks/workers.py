"""The parent's side of ``worker``: start workers, ask them for one repetition at a time, in interleaved rounds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.tasks import Task

_SETTLE = 0.2  # seconds between repetitions: thread pools spin for some milliseconds before they sleep
_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class Worker:
    """One peer on one task in one or more processes, which are all asked at the same moment.

    Args:
        label: as the tables and the progress lines call it.
        peer: a module of ``benchmarks.peers``.
        task: what to train.
        cores: one process each, kept there with one thread; None for a single process with all cores.

    Attributes:
        missing: why there is nothing to measure; None if there is.
        values: what the repetitions gave so far, the slowest process's where there are several.
    """

    def __init__(self, label: str, peer: str, task: Task, cores: Sequence[int] | None = None) -> None:
        self.label, self.task = label, task
        self.values: list[float] = []
        tasks = [task] if cores is None else [replace(task, cores=(core,)) for core in cores]
        self._processes = [_start(peer, each) for each in tasks]
        self.missing: str | None = None

    @property
    def median(self) -> float:
        """Of the repetitions so far; NaN without any."""
        return statistics.median(self.values) if self.values else float("nan")

    def prepare(self) -> None:
        """Wait until the processes are ready, then warm up, so that no compilation or first allocation is timed."""
        answers = [self._read(process) for process in self._processes]
        self.missing = answers[0].get("missing")
        if self.missing is None:
            self._ask(self.task.warm_up)

    def measure(self) -> float:
        """Do one repetition, keep what it gave and return it."""
        self.values.append(self._ask(self.task.epochs))
        return self.values[-1]

    def _ask(self, epochs: int) -> float:
        time.sleep(_SETTLE)
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101 - for mypy
            process.stdin.write(f"{epochs}\n")
            process.stdin.flush()
        return max(float(self._read(process)["value"]) for process in self._processes)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.communicate()

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - for mypy
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.label} on {self.task.title} ended; its message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _start(peer: str, task: Task) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker", peer, task.to_json()],
        env=os.environ | ({} if task.cores is None else _ONE_THREAD),
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def started(*each: tuple[str, str, Task], cores: Sequence[int] | None = None) -> Iterator[list[Worker]]:
    """Start a worker for each (label, peer, task), warm up one after the other, and end them all with the block."""
    with ExitStack() as stack:
        workers = []
        for label, peer, task in each:
            workers.append(Worker(label, peer, task, cores))
            stack.callback(workers[-1].close)
        for worker in workers:
            worker.prepare()
            _say(worker.task, worker.label, worker.missing or "ready")
        yield workers


def rounds(workers: Sequence[Worker], count: int) -> None:
    """Ask every worker once a round, every other round in reverse, so that a slow minute of the machine hits all."""
    present = [worker for worker in workers if worker.missing is None]
    for number in range(count):
        for worker in present if number % 2 == 0 else reversed(present):
            _say(worker.task, worker.label, f"round {number + 1} of {count}: {worker.measure():.6g}")


def _say(task: Task, label: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {task.title}, {label}: {text}", file=sys.stderr, flush=True)
