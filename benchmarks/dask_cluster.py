"""DaskCluster: a real scheduler and worker processes on loopback, each in a directory of its own."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 60.0
_HOST = "127.0.0.1"


class DaskCluster:
    """A scheduler and its workers.

    Args:
        folder: an empty one, for what they write.
        environment: of the workers; what names an outputs root is left out.
        nanny: whether a worker that dies is begun again.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, nanny: bool = False) -> None:
        self.folder, self._nanny = folder, nanny
        self._environment = {name: value for name, value in environment.items() if name != "NNLAB_OUTPUTS"}
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        atexit.register(self.stop)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://{_HOST}:{self._port}"

    @property
    def scheduler_pid(self) -> int | None:
        """Process id of the scheduler, once it is started."""
        return self._scheduler.pid if self._scheduler else None

    def start(self, workers: int) -> None:
        """Start the scheduler and some workers.

        Raises:
            RuntimeError: it does not answer.
        """
        log = self.folder / "scheduler.log"
        self._scheduler = self._start(self.folder, log, "scheduler", "--host", _HOST, "--port", "0", "--no-dashboard")
        deadline = time.monotonic() + _SECONDS
        mark = f"tcp://{_HOST}:"
        while mark not in (text := log.read_text()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the scheduler does not start: {text}")
            time.sleep(0.05)
        self._port = int(text.partition(mark)[2].split()[0])
        for _ in range(workers):
            self.add_worker()

    def place(self, number: int) -> Path:
        """Return the directory of a worker."""
        return self.folder / f"worker-{number}"

    def add_worker(self) -> None:
        """Start one more worker."""
        place = self.place(len(self.workers))
        place.mkdir()
        nanny = "--nanny" if self._nanny else "--no-nanny"
        options = ("--nthreads", "1", nanny, "--no-dashboard", "--host", _HOST)
        self.workers.append(self._start(place, place / "log", "worker", self.address, *options))

    def kill(self, number: int) -> None:
        """End a worker with SIGKILL; the tracker that it has started is not of its session."""
        os.kill(self.workers[number].pid, signal.SIGKILL)
        self.workers[number].wait()

    def stop(self) -> None:
        """End all of them."""
        atexit.unregister(self.stop)
        for process in [*self.workers, *([self._scheduler] if self._scheduler else [])]:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _start(self, place: Path, log: Path, *order: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as shown:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *order],
                cwd=place,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=shown,
                stderr=shown,
                start_new_session=True,
            )
