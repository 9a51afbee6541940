"""UI: opens MLflow's on the store that runs are mirrored into."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.tracking import follower, runs, store
from nnlab.ui_server import HOST

_PORT, _TRIES = 5000, 100


def ui(outputs: Path, report: Callable[[str], None], *, port: int | None = None, browser: bool = True) -> int:
    """Serve MLflow's UI until Ctrl-C; with a tracking server as store, only say where it is.

    Args:
        outputs: the outputs root.
        report: takes a line.
        port: to listen on; by default the first free one from 5000.
        browser: open one.

    Returns:
        the exit code.

    Raises:
        NnlabError: the port is taken, or none is free.
    """
    uri = store.uri(outputs)
    if runs.find(outputs):
        with contextlib.suppress(OSError):
            follower.ensure(outputs)  # it closes what was killed together with its tracker, and has nothing else to do
    if store.is_server(uri):
        report(f"the store is a server: open {store.shown(uri)}")
        if browser:
            webbrowser.open(store.shown(uri).replace("***@", ""))  # whose command line is everybody's to read
        return 0
    port = _free_port() if port is None else _checked(port)
    url = f"http://{HOST}:{port}"
    outputs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "nnlab.ui_server", (outputs / "artifacts").as_uri(), str(port)]
    log = outputs / ".ui.log"
    with log.open("wb") as file, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file) as server:
        try:
            assert server.stdin is not None  # noqa: S101 - a pipe was asked for
            server.stdin.write(f"{uri}\n".encode())
            server.stdin.flush()
            if not _is_up(port, server):
                raise NnlabError(f"the MLflow server did not start: {_last_line(log)} (all of it: {log})", exit_code=1)
            report(f"MLflow UI on {url} (Ctrl-C ends it)")
            if browser:
                webbrowser.open(url)
            server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()
    raise NnlabError(f"the MLflow server ended by itself: {_last_line(log)} (all of it: {log})", exit_code=1)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), "it said nothing"))


def _free_port() -> int:
    for port in range(_PORT, _PORT + _TRIES):
        if _is_free(port):
            return port
    raise NnlabError(f"no port from {_PORT} to {_PORT + _TRIES - 1} is free; choose one with --port", exit_code=1)


def _checked(port: int) -> int:
    if not 1 <= port <= 65535:
        raise NnlabError(f"--port {port}: choose a number from 1 to 65535")
    if not _is_free(port):
        raise NnlabError(f"--port {port} is taken; leave it out for the next free one", exit_code=1)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_up(port: int, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; say whether it does, or has ended."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.1)
    return False
