"""MLflow's UI as `nnlab ui` starts it: asked in ways in which no page of its own asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.access import loopback
from benchmarks.faults.access.ui_asks import RUNS, Ask, asks
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.sweeps import commands

_LOOPBACK = "0100007F"
_SECONDS = 90.0
_ENDING_SECONDS = 10.0
_RUN = """
import sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
run = client.create_run(client.create_experiment("nnlab-moons", sys.argv[2]))
client.log_text(run.info.run_id, "seed: 0\\n", "config.yaml")
client.set_terminated(run.info.run_id)
"""
_CANARY = "canary-that-no-answer-may-hold"
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True)
class _Server:
    """A UI that runs.

    Attributes:
        outputs: the outputs root.
        process: `nnlab ui`.
        port: that it listens on.
        names: what stands in the requests for the run, its experiment, the outputs root, the port.
    """

    outputs: Path
    process: subprocess.Popen[str]
    port: int
    names: dict[str, str]

    def problems(self, ask: Ask) -> Iterator[str]:
        """Yield what is wrong with the answer to a request."""
        headers = {name: self._filled(value) for name, value in ask.headers}
        answer = loopback.ask(self.port, ask.method, self._filled(ask.target), headers, self._filled(ask.body))
        if answer.status < 400 and b"artifacts/list" not in ask.target.encode():
            yield f"it was answered with {answer.status}"
        if _CANARY.encode() in answer.body or b'"files"' in answer.body:
            yield "the answer holds what it must not"
        if "access-control-allow-origin" in {name.lower() for name in answer.headers}:
            yield "other pages may read the answer"

    def _filled(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def ordinary(self) -> Iterator[str]:
        """Yield what is wrong with what a browser does on the page itself."""
        own = {"Origin": f"http://127.0.0.1:{self.port}", "Sec-Fetch-Site": "same-origin"}
        search = {"experiment_ids": [self.names["experiment"]]}
        asked = (
            ("GET", "/", ""),
            ("GET", f"/get-artifact?run_uuid={self.names['run']}&path=config.yaml", ""),
            ("POST", f"{RUNS}/search", json.dumps(search)),
            ("POST", f"{RUNS}/set-tag", json.dumps({"run_id": self.names["run"], "key": "note", "value": "1"})),
        )
        for method, target, body in asked:
            answer = loopback.ask(self.port, method, target, own, body)
            if answer.status != 200:
                yield f"{method} {target} of its own page was answered with {answer.status}"
            if "path=config.yaml" in target and "attachment" not in answer.headers.get("content-disposition", ""):
                yield "an artifact would be shown as a page"

    def addresses(self) -> Iterator[str]:
        """Yield what is wrong with where it listens."""
        heard = loopback.listening(self.port)
        if heard != [_LOOPBACK]:
            yield f"it listens on {heard}"
        for address in loopback.other_addresses():
            if loopback.is_answered(address, self.port):
                yield f"it answers at {address}"

    def unchanged(self) -> Iterator[str]:
        """Yield what the requests have changed in the store."""
        with closing(sqlite3.connect(self.outputs / "mlflow.db")) as database:
            stages = database.execute("SELECT lifecycle_stage FROM runs").fetchall()
            experiments = database.execute("SELECT lifecycle_stage FROM experiments").fetchall()
            evil = database.execute("SELECT count(*) FROM tags WHERE key = 'evil'").fetchone()
        if stages != [("active",)] or set(experiments) != {("active",)} or len(experiments) != 2 or evil != (0,):
            yield f"the store was changed: runs {stages}, experiments {experiments}, evil tags {evil}"

    def ended(self, by: signal.Signals) -> Iterator[str]:
        """End it, and yield what is left of it then."""
        self.process.send_signal(by)
        code = self.process.wait(timeout=_SECONDS)
        if by is signal.SIGINT and code != 0:
            yield f"after Ctrl-C its exit code was {code}"
        deadline = time.monotonic() + _ENDING_SECONDS
        while loopback.is_answered(loopback.HOST, self.port):
            if time.monotonic() > deadline:
                yield f"{_ENDING_SECONDS:g} s after {by.name} the port is still taken"
                return
            time.sleep(0.05)


def _make_run(outputs: Path) -> None:
    """Put a run with an artifact into a new store, quicker than by training one."""
    place = (outputs / "artifacts/nnlab-moons").as_uri()
    # In a process of its own: what MLflow warns of as it is imported would fail a test.
    subprocess.run([sys.executable, "-W", "ignore", "-c", _RUN, f"sqlite:///{outputs}/mlflow.db", place], check=True)


@contextmanager
def _served(outputs: Path) -> Iterator[_Server]:
    port = loopback.free_port()
    environment = {**os.environ, "NNLAB_OUTPUTS": str(outputs), "MLFLOW_TRACKING_URI": ""}
    # Settings for another server, which would open this one.
    environment |= {"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true", "MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
    environment |= {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*", "MLFLOW_HOST": "0.0.0.0"}  # noqa: S104 - must not matter
    command = [sys.executable, "-m", "nnlab", "ui", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            if "MLflow UI on" not in (said := process.stdout.readline()):
                raise RuntimeError(f"nnlab ui did not start: {said}")
            with closing(sqlite3.connect(outputs / "mlflow.db")) as database:
                query = "SELECT run_uuid, experiment_id, artifact_uri FROM runs"
                run, experiment, place = database.execute(query).fetchone()
            _bait(outputs, Path(place.removeprefix("file://")))
            names = {"run": run, "experiment": str(experiment), "root": str(outputs), "port": str(port)}
            yield _Server(outputs, process, port, names)
        finally:
            process.kill()


def _bait(outputs: Path, artifacts: Path) -> None:
    """Put files where a path that leaves would find them, and links among the artifacts that lead to them."""
    for folder in [outputs, *artifacts.parents]:
        if folder.is_relative_to(outputs):
            (folder / "canary").write_text(_CANARY)
    shutil.rmtree(artifacts / "folder", ignore_errors=True)
    for link, target in {"link": outputs / "canary", "folder": outputs}.items():
        (artifacts / link).unlink(missing_ok=True)
        (artifacts / link).symlink_to(target)


def _inject(effort: Effort) -> Found:
    chosen = effort.chosen(asks())
    ends = _ENDS if effort.times is None else (effort.draw().choice(_ENDS),)
    found = Found()
    with commands.outputs_root() as outputs:
        _make_run(outputs)
        for end in ends:
            with _served(outputs) as server:
                found += each(lambda ask, to=server: to.problems(ask), chosen, effort)  # type: ignore[misc]
                checks = (server.ordinary, server.addresses, server.unchanged, lambda to=server, by=end: to.ended(by))
                found += each(lambda check: check(), checks, Effort(None, effort.seed))
    ended = ", ".join(end.name for end in ends)
    found.notes.append(f"{len(chosen):,} requests to each of {len(ends)} servers, which were ended by {ended}.")
    return found


FAULT = Fault(
    "MLflow's UI is asked from outside: evil Host, Origin, paths that leave, what could run code or reach out",
    "listens on 127.0.0.1 alone; each is refused, the store unchanged, its own page works; it ends with `nnlab ui`",
    _inject,
    times=None,
    short=40,
)
