"""Section: what a stack costs whoever started the sweep, and the scheduler, beside its training."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from unittest import mock

from rich.console import Console

from benchmarks.dask_cluster import DaskCluster
from benchmarks.report import Section
from benchmarks.scale import copies, processor_time, thin_workers
from nnlab.cluster import connection, remote
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.work import Training

_OVERRIDES = ["dataset=wine", "training.epochs=60", "tracking=none"]
_TIMES = 3
_ROOT = Path(__file__).parents[2]
_PARENT = "0" * 32


def measure(sizes: list[tuple[int, int]], stacks_a_worker: int, seconds: float) -> Section:
    """Train copies on a real scheduler with many workers that do nothing but answer.

    Args:
        sizes: how many workers there are, and runs in a stack, one after the other.
        stacks_a_worker: for each of them.
        seconds: that a stack takes on a worker.
    """
    section = Section("A stack, beside its training")
    section.say(
        f"A real scheduler and many workers, in processes of a hundred, that take {seconds:g} s for a stack without",
        "computing anything, report as workers do, and answer with records of the right size: copies of a wine run of",
        "60 epochs (its journal, 3 checkpoints, 3 plots). Processor time of the command that launches, and of the",
        f"scheduler; medians of {_TIMES} sweeps. `wall`: the sweep, of which training alone would take `ideal`; the",
        "workers' packing, on the same two cores, is in it.",
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        template = copies.template(Path(folder) / "template", _OVERRIDES)
        size = sum(path.stat().st_size for path in template.rglob("*") if path.is_file())
        for count, stack in sizes:
            sweeps = [_sweep(Path(folder), template, count, stack, stacks_a_worker, seconds) for _ in range(_TIMES)]
            launcher, scheduler, wall = (median(column) for column in zip(*sweeps, strict=True))
            stacks = count * stacks_a_worker
            rows.append(
                [
                    f"{count}",
                    f"{stacks:,} of {stack}",
                    f"{1000 * launcher / stacks:.1f} ms",
                    f"{1000 * launcher / stacks / stack:.2f} ms",
                    f"{1000 * scheduler / stacks:.1f} ms",
                    f"{wall:.1f} s",
                    f"{seconds * stacks_a_worker:.1f} s",
                ]
            )
            print(rows[-1], flush=True)
    header = ["workers", "stacks", "launching, a stack", "launching, a run", "scheduler, a stack", "wall", "ideal"]
    section.table(header, rows)
    section.say(f"A run's record has {size / 1000:,.0f} kB.")
    return section


def _sweep(
    folder: Path, template: Path, workers: int, stack: int, stacks_a_worker: int, seconds: float
) -> tuple[float, float, float]:
    """Return the processor seconds of the launching process and the scheduler, and the seconds from begin to end."""
    with tempfile.TemporaryDirectory(dir=folder) as place, _cluster(Path(place), template, workers, seconds) as cluster:
        sweep = Path(place) / "outputs" / "sweeps" / "s"
        sweep.mkdir(parents=True)
        os.environ["NNLAB_OUTPUTS"] = str(sweep.parents[1])
        tasks = copies.tasks(sweep, workers * stacks_a_worker * stack, _OVERRIDES)
        chunks = (tasks[start : start + stack] for start in range(0, len(tasks), stack))
        assert cluster.scheduler_pid is not None  # noqa: S101 - it is started
        with SweepProgress(sweep, console=Console(file=io.StringIO())) as progress:
            progress.begin({task.directory: (task.number, task.name) for task in tasks}, 60 * len(tasks))
            before = processor_time.of(cluster.scheduler_pid)
            began, own = time.perf_counter(), time.process_time()
            with (
                mock.patch.object(remote, "train", thin_workers.train),
                connection.connect(cluster.address, is_tracked=False) as opened,
            ):
                opened.train(chunks, Training(_PARENT, 1), workers, progress, resume=False)
            ended = (
                time.process_time() - own,
                processor_time.of(cluster.scheduler_pid) - before,
                time.perf_counter() - began,
            )
            assert len(progress.outcomes) == len(tasks)  # noqa: S101
            assert all((task.directory / "journal.jsonl").is_file() for task in tasks)  # noqa: S101
            return ended


@contextlib.contextmanager
def _cluster(folder: Path, template: Path, workers: int, seconds: float) -> Iterator[DaskCluster]:
    environment = {**os.environ, thin_workers.TEMPLATE: str(template), thin_workers.SECONDS: str(seconds)}
    cluster = DaskCluster(folder, environment)
    cluster.start(0)
    counts = [min(100, workers - start) for start in range(0, workers, 100)]
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.scale.thin_workers", cluster.address, str(count)],
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for count in counts
    ]
    try:
        for process in started:
            assert process.stdout  # noqa: S101 - it is a pipe
            process.stdout.readline()
        yield cluster
    finally:
        for process in started:
            process.kill()
            process.wait()
        cluster.stop()
