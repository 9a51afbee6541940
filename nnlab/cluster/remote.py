"""Remote: what runs on the workers of a cluster."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import distributed.worker
from distributed import get_worker

from nnlab import attempt, build, paths, runner
from nnlab.cluster import sent_files, shipment
from nnlab.cluster.order import Done, Order
from nnlab.cluster.remote_watcher import RemoteWatcher
from nnlab.cluster.sent_files import Folder, SentFiles
from nnlab.errors import NnlabError
from nnlab.hashing import code_version

_turn = threading.Lock()
_dask: Any = distributed.worker  # whose types are not complete yet


def train(order: Order, own: dict[str, Folder], published: dict[str, Folder]) -> Done:
    """Train a stack in this worker's own outputs root; what an earlier attempt has left there is gone on with.

    Args:
        order: what to train.
        own: of ``SentFiles``; apart, for Dask fetches what is an argument, once for a worker.
        published: likewise.

    Returns:
        what has become of it.

    Raises:
        NnlabError: this worker is not as it should be; nothing has been done then.
    """
    worker = get_worker()
    _check(order, worker.state.nthreads)
    if not _turn.acquire(blocking=False):
        raise NnlabError(f"the worker {worker.address} trains a stack already: start workers with --nthreads 1")
    try:
        if order.store is not None:
            os.environ["MLFLOW_TRACKING_URI"] = order.store  # for the tracker; our name it takes from the environment
        sent_files.put(SentFiles(own, published))
        if lacks := sent_files.fetch_or_name([run.job for run in order.runs]):
            return Done(lacks=lacks)
        _check_data(order, worker.address)
        here = {run.place: paths.outputs_dir() / run.place for run in order.runs}
        if order.begun is not None and not _is_shared(order):
            _set_aside(order, here)
            shipment.unpack(order.begun, here, paths.outputs_dir(), paths.outputs_dir())
        directories = list(here.values())
        for directory in directories:
            attempt.begin(directory)
        where = {directory: run.directory for directory, run in zip(directories, order.runs, strict=True)}
        watcher = RemoteWatcher(worker, _dask.thread_state.key, order.topic, order.seconds, where)
        try:
            outcomes = runner.run(
                [run.job for run in order.runs],
                directories,
                names=[run.name for run in order.runs],
                run_ids=[run.run_id for run in order.runs],
                parent=order.parent,
                progress=watcher,
                threads=order.threads,
                max_stack=order.max_stack,
                resume=True,
            )
        except KeyboardInterrupt:  # Dask would end the worker
            return Done()
        watcher.report()
        return Done(tuple(outcomes), None if _is_shared(order) else shipment.pack(here))
    finally:
        _turn.release()


def collect(places: Sequence[str]) -> bytes | None:
    """Return an archive of what this worker has of some runs that were called off; None while it is at work."""
    if _turn.locked():
        return None
    return shipment.pack({place: paths.outputs_dir() / place for place in places}) or b""


def _set_aside(order: Order, here: Mapping[str, Path]) -> None:
    """Move away what an attempt that went another way has left here of a run whose record comes along."""
    assert order.begun is not None  # noqa: S101 - it comes along
    for place in shipment.other_ways(order.begun, here):
        aside = paths.outputs_dir() / "superseded" / f"{place.replace('/', '-')}-{uuid.uuid4().hex[:6]}"
        aside.parent.mkdir(exist_ok=True)
        here[place].rename(aside)


def _is_shared(order: Order) -> bool:
    """Say whether whoever sent the order sees our outputs root as its own."""
    sweep = Path(*PurePosixPath(order.runs[0].place).parts[:2])
    return (paths.outputs_dir() / sweep / f".{order.topic}").exists()


def _check(order: Order, threads: int) -> None:
    """Refuse to train where the numbers, or their speed, would not be what they should be."""
    address = get_worker().address
    if threads != 1:
        raise NnlabError(
            f"the worker {address} has {threads} threads: start workers with --nthreads 1, as many as there are cores"
        )
    if code_version() != order.code_version:
        raise NnlabError(f"the worker {address} has another version of nnlab than the sweep was planned with")


def _check_data(order: Order, address: str) -> None:
    """Compare the data set here with the one that the sweep was planned with."""
    first = order.runs[0]  # a stack shares its data set
    found = build.load(first.job.config.dataset, first.job.config.training.dtype)[0].data_hash
    if first.data_hash not in (None, found):
        raise NnlabError(f"the data set of {first.name} is another one on the worker {address}")
