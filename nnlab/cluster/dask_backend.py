"""Dask backend: stacks become tasks of a Dask cluster, and the records that its workers keep come back.

Dask's own client, not joblib's backend for it: each stack is called off, or tried again in halves, by itself.
"""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import Future as Settled
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from distributed import KilledWorker

from nnlab import attempt, paths
from nnlab.cluster import remote, sent_files, shipment
from nnlab.cluster.order import Done, Order, Run
from nnlab.cluster.sent_files import Folder
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.portable import placing
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.work import Task, Training, Work, judged
from nnlab.tracking import cursor, follower, store
from nnlab.watcher import Outcome

_POLL_SECONDS = 0.2
_CLOSING_SECONDS = 20.0  # for workers to close the records of what was called off
_REPORTS_A_SECOND = 100.0  # of all workers together; the scheduler passes each on
_LOOK_SECONDS = 10.0  # between two looks whether there still are workers
_AHEAD = 2  # stacks a worker that are given away before they are asked for


class Cluster:
    """A connection to a Dask scheduler.

    Args:
        client: of it.
        uri: of the server that runs are mirrored to, if they are.
    """

    def __init__(self, client: Any, uri: str | None) -> None:
        self._client = client
        self._uri = uri
        self._topic = f"nnlab-{uuid.uuid4().hex}"
        self._reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._work: dict[Any, tuple[Work, Order]] = {}
        self._own: dict[str, Any] = {}
        self._published: dict[str, Any] = {}
        self._next_look = 0.0
        self._client.subscribe_topic(self._topic, lambda event: self._reports.put(event[1]))

    def workers(self) -> int:
        """Return how many stacks can be trained at a time; 1 as long as there is no worker yet."""
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def train(
        self,
        chunks: Iterator[Sequence[Task]],
        training: Training,
        workers: int,
        progress: SweepProgress,
        *,
        resume: bool,
    ) -> None:
        """Train chunks on the cluster: a ``_Backend`` of ``nnlab.sweep.workers``.

        A task whose worker dies goes to another one. What has killed several is cut in halves, as on one machine.

        Raises:
            NnlabError: the cluster is gone.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, when the workers have closed the records, or had the time to.
        """
        if training.judge is not None:
            raise NnlabError(
                "hydra.launcher.backend=dask: workers elsewhere can't prune; set hydra.sweeper.pruner=none"
            )
        again: deque[Work] = deque()
        token = progress.directory / f".{self._topic}"  # by which a worker sees that it shares our disk
        token.touch()
        try:
            while True:
                while len(self._work) < _AHEAD * workers and (chunk := next(chunks, None)):
                    self._submit(Work(chunk, resume), training, progress, workers)
                if not self._work and again:
                    self._submit(again.popleft(), training, progress, workers)
                if not self._work:
                    break
                again.extend(self._take(training, progress))
        except BaseException:
            self._call_off(progress)
            raise
        finally:
            token.unlink(missing_ok=True)
            placing.sync_all()  # at the latest before the sweep's own record says that it has ended

    def _submit(self, work: Work, training: Training, progress: SweepProgress, workers: int) -> None:
        runs = tuple(_run(task, training.parent, progress.directory) for task in work.chunk)
        begun = {run.place: run.directory for run in runs if shipment.has_begun(run.directory)} if work.resume else {}
        order = Order(
            runs=runs,
            parent=training.parent,
            threads=training.threads,
            max_stack=training.max_stack,
            store=self._uri if any(run.job.config.tracking.enabled for run in runs) else None,
            code_version=code_version(),
            topic=self._topic,
            seconds=max(_POLL_SECONDS, workers / _REPORTS_A_SECOND),
            begun=shipment.pack(begun) if begun else None,
        )
        self._send(work, order)

    def _send(self, work: Work, order: Order, lacks: Sequence[str] = ()) -> None:
        named = dict.fromkeys(path for run in order.runs for path in sent_files.own_paths(run.job.config))
        own = {path: self._scattered(self._own, path, sent_files.read_own) for path in named}
        published = {name: self._scattered(self._published, name, sent_files.read_published) for name in lacks}
        future = self._client.submit(
            remote.train, order, own, published, key=f"{work.chunk[0].name}-{uuid.uuid4().hex}", pure=False
        )
        self._work[future] = work, order
        future.add_done_callback(self._done.put)

    def _scattered(self, known: dict[str, Any], name: str, read: Callable[[str], Folder]) -> Any:
        """Send files to the cluster once; its workers get them from there, and from each other."""
        if name not in known:
            known[name] = self._client.scatter(read(name), hash=False)
        return known[name]

    def _take(self, training: Training, progress: SweepProgress) -> Iterator[Work]:
        """Take what comes in within a moment; yield what is to be done again."""
        self._show(progress)
        try:
            future = self._done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            if self._client.status != "running":
                raise NnlabError(
                    f"the connection to the cluster {_address(self._client)} is lost", exit_code=1
                ) from None
            self._look_for_workers(progress)
            return
        if future not in self._work:
            return
        work, order = self._work.pop(future)
        settled: Settled[list[Outcome]] = Settled()
        try:
            done: Done = future.result()
            if done.lacks:
                self._send(work, order, done.lacks)
                return
            if done.records is not None:
                self._keep(done.records, order.runs, progress.directory)
            if not done.outcomes:
                raise BrokenProcessPool("its worker was ended")
            settled.set_result(list(done.outcomes))
        except KilledWorker as error:
            settled.set_exception(BrokenProcessPool(str(error)))
        except CancelledError as error:
            raise NnlabError(
                f"the cluster {_address(self._client)} has dropped our tasks: {error}", exit_code=1
            ) from error
        except Exception as error:
            settled.set_exception(error)
        self._show(progress)
        yield from judged(work, settled, progress, training.parent)

    def _keep(self, records: bytes, runs: Iterable[Run], sweep: Path) -> None:
        """Put records where they would be had the runs been trained here, and leave MLflow to the worker's tracker."""
        targets = {run.place: run.directory for run in runs}
        arrived = shipment.unpack(records, targets, paths.outputs_dir(), sweep, self._leave_to_worker)
        if self._uri is not None:
            follower.ensure(paths.outputs_dir(), [each.target for each in arrived])

    def _leave_to_worker(self, directory: Path) -> None:
        """Let our own tracker know, before it finds a run, that another one is at it."""
        if self._uri is not None:
            attempt.begin(directory)
            cursor.write(directory, store.key(self._uri), cursor.Cursor(is_elsewhere=True))

    def _show(self, progress: SweepProgress) -> None:
        reports = []
        with contextlib.suppress(queue.Empty):
            while True:
                reports.append(self._reports.get_nowait())
        progress.take(reports)

    def _call_off(self, progress: SweepProgress) -> None:
        """Call off what is under way, and bring home what the workers have recorded of it."""
        if not self._work or self._client.status != "running":
            return
        orders = {future.key: order for future, (_, order) in self._work.items()}
        runs = {
            address: [run for key in keys if key in orders for run in orders[key].runs]
            for address, keys in self._client.processing().items()
        }
        self._client.cancel(list(self._work), force=True)
        waiting = {address for address, of_worker in runs.items() if of_worker}
        deadline = time.monotonic() + _CLOSING_SECONDS
        while waiting and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            for address in sorted(waiting):
                places = [run.place for run in runs[address]]
                answers = self._client.run(remote.collect, places, workers=[address], on_error="ignore")
                records = answers.get(address, b"")
                if records is None:  # still at work
                    continue
                waiting.remove(address)
                if records:
                    with contextlib.suppress(NnlabError):  # an older attempt's: it is trained again
                        self._keep(records, runs[address], progress.directory)
        self._show(progress)

    def _look_for_workers(self, progress: SweepProgress) -> None:
        """Say that nobody is there to train, now and then, instead of waiting without a word."""
        if time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            if not self._client.scheduler_info(n_workers=-1)["workers"]:
                progress.say(f"the cluster {_address(self._client)} has no workers: waiting for some (Ctrl-C is safe)")


def _run(task: Task, parent: str | None, sweep: Path) -> Run:
    place = f"sweeps/{sweep.name}/{task.directory.relative_to(sweep).as_posix()}"
    # The same wherever and however often it is begun, so that it is one run in the store.
    run_id = uuid.uuid5(uuid.UUID(parent) if parent else uuid.NAMESPACE_OID, place).hex
    return Run(task.job, task.directory, place, task.name, run_id, task.data_hash)


def _address(client: Any) -> str:
    return str(client.scheduler.address) if client.scheduler else ""
