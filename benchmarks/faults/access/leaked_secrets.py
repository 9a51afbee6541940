"""Secrets, planted where people keep them, and looked for in all that nnlab writes and prints."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.access import loopback
from benchmarks.faults.access.planted import VARIABLES, Planted, given_away, plant, user
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.sweeps import processes

_SECONDS = 300.0
_TRAIN = ("train", "dataset=moons", "training.epochs=3", "tracking.wait_seconds={wait}")
_FEW = (_TRAIN, ("sync",))
_ALL = (
    _TRAIN,
    (*_TRAIN, "optimizer.lr=1e30"),
    (*_TRAIN, "-m", "seed=0,1"),
    (*_TRAIN, "seed=x"),
    ("train", "--info", "all"),
    ("train", "--cfg", "all"),
    ("sync",),
    ("compare",),
    ("compare", "--filter", "params.seed = '0'"),
    ("reproduce", "{run}"),
    ("reproduce", "0123456789abcdef0123456789abcdef"),
    ("resume", "{run}"),
    ("ui", "--no-browser"),
    ("doctor",),
    ("data", "list"),
)


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    port = loopback.free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", loopback.HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        Path(os.devnull).open("wb") as nowhere,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=nowhere, stderr=nowhere) as process,
    ):
        try:
            while not loopback.is_answered(loopback.HOST, port) and process.poll() is None:
                threading.Event().wait(0.1)
            yield port
        finally:
            process.terminate()


_STORES: Mapping[str, str] = {
    "nobody answers": "http://{user}@127.0.0.1:1",
    "a server": "http://{user}@127.0.0.1:{port}",
    "a server, odd password": "http://{odd}@127.0.0.1:{port}",
    "a server, slash": "http://{user}@127.0.0.1:{port}/",
    "a token in the query": "http://127.0.0.1:{port}/?access_token={secret}",
    "a password in the query": "https://127.0.0.1:1/x?a=1&password={secret}&sig={secret}",
    "a database without driver": "postgresql://{odd}@127.0.0.1:1/runs",
    "the own file": "",
    "no scheme": "{user}@127.0.0.1/runs",
    "no store's scheme": "ftp://{user}@127.0.0.1/runs?key={secret}",
}


def _trial(name: str, effort: Effort, commands: Iterable[tuple[str, ...]], printed: dict[str, int]) -> Iterator[str]:
    planted = Planted(random.Random(f"{effort.seed} {name}"))
    with tempfile.TemporaryDirectory(prefix="nnlab-secrets-") as folder:
        root = Path(folder).resolve()
        outputs = root / "outputs"
        try:
            with _server(root) if "server" in name or "token" in name else _nothing() as port:
                urls = {"user": user(planted), "odd": user(planted, odd=True), "secret": planted.new()}
                uri = _STORES[name].format(**urls, port=port)
                environment = plant(planted, root, uri)
                is_up = name.startswith(("a server", "the own"))
                with _Watch(outputs, planted) as watch:
                    shown = _give(commands, root, environment, wait="60" if is_up else "0.5")
                processes.kill(outputs)
            if is_up and b"mirrored into MLflow" not in shown:
                yield f"nothing was mirrored: {shown.decode()[-400:]}"
            yield from watch.found
            yield from given_away(shown, "printed", planted)
            looked = 0
            for path in [*outputs.rglob("*"), *root.glob("server.db*"), *(root / "kept").rglob("*")]:
                if path.is_file():
                    looked += 1
                    yield from given_away(path.read_bytes(), str(path.relative_to(root)), planted)
                yield from given_away(path.name.encode(), "a file's name", planted)
            printed[name] = looked
            if not (looked or shown):
                yield "nothing was written or printed, so nothing was looked at"
        finally:
            processes.kill(outputs)


@contextmanager
def _nothing() -> Iterator[int]:
    yield 1


def _give(commands: Iterable[tuple[str, ...]], root: Path, environment: dict[str, str], wait: str) -> bytes:
    """Give the commands and return all that they print."""
    shown = b""
    log = root / "printed.log"
    for command in commands:
        runs = sorted((root / "outputs/runs").glob("*"))
        filled = [part.format(wait=wait, run=runs[0] if runs else root) for part in command]
        if command[0] == "ui" and not environment["MLFLOW_TRACKING_URI"]:
            continue  # it would stay
        with log.open("wb") as file:  # and no pipe, which a tracker might keep open
            subprocess.run(
                [sys.executable, "-m", "nnlab", *filled],
                cwd=root / "checkout",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
            )
        shown += log.read_bytes()
    return shown


class _Watch:
    """Reads, as any user of the machine could, the command lines of the processes that nnlab starts."""

    def __init__(self, outputs: Path, planted: Planted) -> None:
        self.found: set[str] = set()
        self._outputs, self._planted = outputs, planted
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.3):
            for pid, _ in processes.of(self._outputs):
                try:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:  # gone
                    continue
                self.found.update(given_away(line, "a command line", self._planted))


def _inject(effort: Effort) -> Found:
    cases = effort.chosen(list(_STORES))
    commands = _FEW if len(cases) < len(_STORES) else _ALL
    looked: dict[str, int] = {}
    found = each(lambda name: _trial(name, effort, commands, looked), cases, effort)
    found.notes.append(
        f"About {len(VARIABLES) + 12} secrets each time: in the environment, in the store's URL, in .netrc, pip.conf, "
        f"a git remote, changed and untracked files; looked for as they are, URL-encoded and in base64 in "
        f"{sum(looked.values()):,} files, in all that {len(commands)} commands printed, and in their processes' "
        "command lines."
    )
    return found


FAULT = Fault(
    "Secrets in the environment, the store's URL, the home folder and the checkout",
    "0 found in params, tags, artifacts, journals, logs, the store, what is printed, command lines",
    _inject,
    times=10,
    short=1,
)
