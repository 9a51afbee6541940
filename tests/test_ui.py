"""`nnlab ui`: the right store, on loopback only."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from nnlab import ui
from nnlab.errors import NnlabError


def test_a_server_as_store_is_named_and_nothing_is_started(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example/")
    monkeypatch.setattr(subprocess, "Popen", None)
    lines: list[str] = []
    assert ui.ui(outputs, lines.append, browser=False) == 0
    assert lines == ["the store is a server: open https://***@mlflow.example/"]


def test_a_taken_port_is_refused_and_the_next_free_one_is_found(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NnlabError, match=f"--port {port} is taken"):
            ui.ui(outputs, print, port=port, browser=False)
        monkeypatch.setattr(ui, "_PORT", port)
        assert port < ui._free_port() <= port + 100


def test_the_server_answers_on_loopback_alone_and_ends_with_us(outputs: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nnlab", "ui", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"MLflow UI on http://127.0.0.1:{port} (Ctrl-C ends it)\n"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
                assert b"MLflow" in page.read()
            evil = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(evil, timeout=30)  # noqa: S310 - loopback
            listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
            assert f"00000000:{port:04X}" not in listening
            assert (outputs / "mlflow.db").exists()
        finally:
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=30) == 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
    pytest.fail("the server is still there")
