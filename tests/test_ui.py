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

from nnlab import ui, ui_server
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


GATE = ui_server.Gate(None, 5000)  # type: ignore[arg-type] # nothing is let through to be answered
OWN = {"host": "127.0.0.1:5000"}


def problem(method: str, path: str, **headers: str) -> str | None:
    said = {**OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return GATE.problem(method, path, [(name.encode(), value.encode()) for name, value in said.items()])


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/", {"host": "localhost:5000"}),
        ("GET", "/", {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"}),  # a link in a mail
        ("GET", "/static-files/static/js/main.d1b2.js", {"sec_fetch_site": "same-origin"}),
        ("GET", "/ajax-api/2.0/mlflow/runs/get", {"origin": "http://127.0.0.1:5000"}),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", {"origin": "http://localhost:5000"}),
        ("POST", "/graphql", {"origin": "http://127.0.0.1:5000"}),
    ],
)
def test_what_the_page_asks_is_let_through(method: str, path: str, headers: dict[str, str]) -> None:
    assert problem(method, path, **headers) is None


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"host": "10.evil.example:5000"}),
        ("GET", "/", {"host": "127.0.0.1:5001"}),
        ("GET", "/", {"host": ""}),
        ("GET", "/", {"origin": "null"}),
        ("POST", "/graphql", {"origin": "http://127.0.0.1:8888"}),
        ("GET", "/get-artifact", {"sec_fetch_site": "same-site", "sec_fetch_dest": "image"}),
        ("POST", "/graphql", {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"}),
        ("POST", "/ajax-api/3.0/jobs/", {}),
        ("POST", "/ajax-api/2.0/mlflow/experiments/create", {}),
        ("PUT", "/ajax-api/3.0/mlflow/assistant/config", {}),
        ("GET", "/ajax-api/2.0/mlflow/runs/../../../3.0/jobs", {}),
        ("GET", "/static-files//etc/passwd", {}),
        ("GET", "/static-files/../../etc/passwd", {}),
        ("GET", "/\n", {}),
        ("OPTIONS", "/", {}),
    ],
)
def test_everything_else_is_refused(method: str, path: str, headers: dict[str, str]) -> None:
    assert problem(method, path, **headers) is not None


def test_two_hosts_are_refused() -> None:
    assert GATE.problem("GET", "/", [(b"host", b"127.0.0.1:5000"), (b"host", b"evil.example")]) is not None
    assert GATE.problem("GET", "/", []) is not None


def test_a_store_that_cant_be_opened_is_named_without_its_password(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs.mkdir()
    (outputs / "other.db").write_bytes(b"no database at all" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{outputs}/other.db?password=hidden")
    with pytest.raises(NnlabError, match=r"did not start: the store .*other\.db") as refused:
        ui.ui(outputs, print, browser=False)
    assert "hidden" not in str(refused.value)
    assert "hidden" not in (outputs / ".ui.log").read_text()


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
