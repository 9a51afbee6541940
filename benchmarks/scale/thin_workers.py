"""Thin workers: many Dask workers in one process, whose stacks take no processor time and come back as copies.

python -m benchmarks.scale.thin_workers SCHEDULER COUNT
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import distributed

from benchmarks.scale import copies
from nnlab.cluster import shipment
from nnlab.cluster.order import Done, Order
from nnlab.watcher import Outcome

TEMPLATE, SECONDS = "NNLAB_SCALE_TEMPLATE", "NNLAB_SCALE_SECONDS"
_dask: Any = distributed


def train(order: Order, own: object, published: object) -> Done:  # noqa: ARG001 - in the place of ``remote.train``
    """Take as long as a stack may take, report as a worker does, and answer with records of the right size."""
    worker: Any = distributed.get_worker()
    ends = time.monotonic() + float(os.environ[SECONDS])
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(order.seconds, left))
        worker.log_event(order.topic, {"epochs": len(order.runs)})
    for run in order.runs:
        ended = {"ended": str(run.directory), "status": "FINISHED", "reason": None, "left": 0}
        worker.log_event(order.topic, {"epochs": 0, **ended})
    return Done((Outcome("FINISHED"),) * len(order.runs), _records(order))


def _records(order: Order) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        directories = {run.place: Path(folder) / run.place for run in order.runs}
        for run in order.runs:
            copies.copy(Path(os.environ[TEMPLATE]), directories[run.place], run.run_id, order.parent)
        return shipment.pack(directories)


async def _work(scheduler: str, count: int) -> None:
    started = [_dask.Worker(scheduler, nthreads=1, dashboard=False, dashboard_address=None) for _ in range(count)]
    await asyncio.gather(*started)
    print(f"{count} workers", flush=True)
    await asyncio.gather(*(worker.finished() for worker in started))


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], int(sys.argv[2])))
