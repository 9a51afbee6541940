"""Order: what a worker is told to train, and what it answers; both are pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.compose import Job
from nnlab.watcher import Outcome


@dataclass(frozen=True)
class Run:
    """One run of a stack.

    Attributes:
        job: to be done.
        directory: of the run where the sweep was started.
        place: its directory below an outputs root, ``sweeps/<name>/<job>``.
        name: of the run, for people.
        run_id: that it has wherever it is begun.
        data_hash: of its data set where the sweep was planned; None if that isn't known.
    """

    job: Job
    directory: Path
    place: str
    name: str
    run_id: str
    data_hash: str | None


@dataclass(frozen=True)
class Order:
    """A stack to be trained.

    Attributes:
        runs: of it.
        parent: run id of the sweep.
        threads: BLAS threads of the jobs whose config leaves them open.
        max_stack: runs in a stack at most.
        store: the MLflow server that the worker's own tracker sends to; None if nothing is tracked.
        code_version: of the engine that the sweep was planned with.
        topic: of Dask's events, for what is reported meanwhile.
        seconds: between two reports.
        begun: an archive of what there is already of interrupted runs.
    """

    runs: tuple[Run, ...]
    parent: str | None
    threads: int
    max_stack: int | None
    store: str | None
    code_version: str
    topic: str
    seconds: float
    begun: bytes | None = None


@dataclass(frozen=True)
class Done:
    """What has become of an order.

    Attributes:
        outcomes: of the runs, in their order; empty if it was called off, or could not be begun.
        records: an archive of the runs' directories.
        lacks: names of data sets that the worker can't fetch by itself.
    """

    outcomes: tuple[Outcome, ...] = ()
    records: bytes | None = None
    lacks: tuple[str, ...] = ()
