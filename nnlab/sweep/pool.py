"""Pool: worker processes that train, each with an executor of its own, so that it is known what a killed one was at."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from nnlab.signals import ENDING, interruptible
from nnlab.sweep.reporter import Reporter, Reports

_CLOSING_SECONDS = 20.0  # for a worker to close its runs' records before it is ended
_WATCH_SECONDS = 0.25

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Pool(Generic[Piece, Result]):
    """Starts a process for each piece of work that finds none idle; a context manager, which ends them.

    They are loky's: unlike those of the standard library they don't run the caller's script again, so that a sweep can
    be started from a notebook or a script without a guard. Ctrl-C on the terminal does not reach what they do: they
    stop when the reader of their reports, this process, lets go of them or is gone, however it ended.

    Args:
        reports: where what is done reports to.
    """

    def __init__(self, reports: Reports) -> None:
        _start_resource_trackers()
        self._reports = reports
        self._idle: list[ProcessPoolExecutor] = []
        self._running: dict[Future[Result], tuple[Piece, ProcessPoolExecutor]] = {}

    def __enter__(self) -> Pool[Piece, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        executors = [*self._idle, *(executor for _, executor in self._running.values())]
        try:
            if kind is not None:
                self._reports.let_go()
                wait(self._running, timeout=_CLOSING_SECONDS + 5)
        finally:
            with ThreadPoolExecutor(len(executors) or 1) as enders:  # all at once
                for executor in executors:
                    enders.submit(executor.shutdown, wait=True, kill_workers=kind is not None)

    def __len__(self) -> int:
        """Return how many pieces of work are being done."""
        return len(self._running)

    def submit(self, work: Piece, function: Callable[[Reporter], Result]) -> None:
        """Begin a piece of work.

        Args:
            work: to be given back with the result.
            function: that does it; sent to the worker by pickling.
        """
        with _without_interrupts():  # what is started inherits that: it is deaf to all but ``_end_with_reader``
            future, executor = self._submitted(function)
            self._running[future] = work, executor

    def _submitted(self, function: Callable[[Reporter], Result]) -> tuple[Future[Result], ProcessPoolExecutor]:
        path = self._reports.path
        while self._idle:
            executor = self._idle.pop()
            try:
                return executor.submit(_do, path, function), executor
            except BrokenProcessPool:  # killed while it had nothing to do
                executor.shutdown(wait=True, kill_workers=True)
        executor = ProcessPoolExecutor(1, initializer=_begin, initargs=(path,))
        return executor.submit(_do, path, function), executor

    def done(self, seconds: float) -> list[tuple[Piece, Future[Result]]]:
        """Wait that long for a piece of work to be done; return those that are."""
        ended, _ = wait(self._running, seconds, FIRST_COMPLETED)
        found = []
        for future in ended:
            work, executor = self._running.pop(future)
            if future.exception() is None:
                self._idle.append(executor)
            else:
                executor.shutdown(wait=True, kill_workers=True)
            found.append((work, future))
        return found


def _start_resource_trackers() -> None:
    """Start the processes that remove what killed ones leave, without the warnings that they would print when they do.

    Started later, at need, they would also put an end to ``_without_interrupts``.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which removes all that by itself
        return
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning"
    try:
        with _without_interrupts():
            loky_resource_tracker.ensure_running()
            resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Put Ctrl-C, SIGTERM and the end of the terminal off until the end of the block."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(ENDING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows runs in the workers.

_is_idle, _is_stopping = threading.Event(), threading.Event()


def _begin(reports: Path) -> None:
    """Prepare a worker: interrupts are the starter's to handle, and it ends when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for Windows; elsewhere it is put off for good
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which our starter may have ignored, and we send ourselves
    _is_idle.set()
    threading.Thread(target=_end_with_reader, args=(Reporter(reports),), daemon=True).start()


def _do(reports: Path, function: Callable[[Reporter], Result]) -> Result:
    _is_idle.clear()
    try:
        with interruptible(), Reporter(reports) as reporter:
            if _is_stopping.is_set():
                raise KeyboardInterrupt
            return function(reporter)
    finally:
        _is_idle.set()


def _end_with_reader(reporter: Reporter) -> None:
    """End this process when nobody reads its reports any more: what it does is interrupted, and closes its records."""
    while reporter.has_reader():
        time.sleep(_WATCH_SECONDS)
    _is_stopping.set()
    _thread.interrupt_main(signal.SIGTERM)
    _is_idle.wait(_CLOSING_SECONDS)
    os._exit(1)
