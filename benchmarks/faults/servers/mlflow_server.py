"""MLflow servers on this machine, to be killed: the application that `mlflow server` starts, under uvicorn.

Each is a fork of one process that has imported it all, which takes half a minute on a busy machine and would be the
longest part of every outage. `Server` is the end that asks; run as a program, this module is the end that forks.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.faults import mirrored

HOST = "127.0.0.1"
_START_SECONDS = 120.0
_lock = threading.Lock()


class Server:
    """A tracking server with a sqlite file and a folder for artifacts of its own.

    Args:
        folder: for both, and for its log: one of ``roots.make``, for its empty store.
        port: None for a free one.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        self.store, self.artifacts = folder / "mlflow.db", folder / "served"
        self._pid: int | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: it doesn't.
        """
        order = {
            "port": self.port,
            "log": str(self.folder / "server.log"),
            "environment": {
                "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self.store}",
                "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
                "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
                "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self.artifacts),
            },
        }
        with _lock:
            forker = _forker()
            assert forker.stdin  # noqa: S101 - they are pipes
            assert forker.stdout  # noqa: S101
            forker.stdin.write(json.dumps(order).encode() + b"\n")
            forker.stdin.flush()
            self._pid = int(forker.stdout.readline())
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer: {(self.folder / 'server.log').read_text()[-500:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it with SIGKILL, if it lives."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._pid = None
        while _answers(self.port):
            time.sleep(0.01)

    def points(self) -> int:
        """Return how many values of metrics it has."""
        # Not read-only: of a server that was killed while it wrote, the half-done change is to be taken back first.
        with closing(sqlite3.connect(self.store)) as store:
            (count,) = store.execute("select count(*) from metrics").fetchone()
        return int(count)

    def content(self) -> dict[str, list[str]]:
        """Return every row of every table, and the hash of each artifact."""
        files = sorted(path for path in self.artifacts.rglob("*") if path.is_file())
        hashes = [
            f"{path.relative_to(self.artifacts)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
        ]
        return {**mirrored.dump(self.store), "artifacts": hashes}

    def problems(self, directories: Sequence[Path]) -> list[str]:
        """Return what it lacks of some runs, and what else it has; what was deleted there does not count."""
        copy = self.folder / "active.db"
        with closing(sqlite3.connect(self.store)) as store, closing(sqlite3.connect(copy)) as active:
            store.backup(active)
            deleted = "(select run_uuid from runs where lifecycle_stage = 'deleted')"
            for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
                active.execute(f"delete from {table} where run_uuid in {deleted}")  # noqa: S608
            place = f"{self.artifacts.as_uri()}/"
            active.execute("update runs set artifact_uri = replace(artifact_uri, 'mlflow-artifacts:/', ?)", (place,))
            active.commit()
        return list(mirrored.problems(copy, directories))


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


@functools.cache
def _forker() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.faults.servers.mlflow_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )
    atexit.register(process.kill)
    return process


def _serve() -> None:
    """Fork a server for each order, and say its process id; all end with us."""
    import uvicorn
    from mlflow.server.fastapi_app import app

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(order["environment"])
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
            uvicorn.run(app, host=HOST, port=order["port"], log_level="warning")
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    _serve()
