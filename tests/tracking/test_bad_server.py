"""A tracking server that answers with anything at all, by hand: what the tracker makes of it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nnlab.errors import NnlabError
from nnlab.tracking import cursor, failures, store
from nnlab.tracking.failures import GarbageError, RefusedError, Reports, UnopenedError
from nnlab.tracking.patience import Patient


class Lying:
    """Calls that fail a few times before they succeed."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def log_batch(self, value: int) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return value

    create_run = log_batch


def rest_error(code: str) -> Exception:
    from mlflow.exceptions import RestException

    error: Exception = RestException({"error_code": code, "message": "no"})  # type: ignore[no-untyped-call]
    return error


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.tracking.patience._PAUSES", (0.0, 0.0))


def test_what_may_come_twice_is_asked_three_times() -> None:
    asked = Lying(ValueError("garbage"), rest_error("INTERNAL_ERROR"))
    patient = Patient(asked)
    assert patient.log_batch(3) == 3
    assert (asked.calls, patient.failures) == (3, 2)
    with pytest.raises(ValueError, match="third"):
        Patient(Lying(ValueError("1"), ValueError("2"), ValueError("third"))).log_batch(3)


def test_what_a_database_refused_is_asked_again() -> None:
    """Of two trackers that log the same data set at once MLflow refuses one, with BAD_REQUEST."""
    asked = Lying(rest_error("BAD_REQUEST"))
    assert Patient(asked).log_batch(3) == 3
    assert asked.calls == 2


@pytest.mark.parametrize("error", [rest_error("PERMISSION_DENIED"), rest_error("INVALID_PARAMETER_VALUE")])
def test_what_a_server_has_understood_is_asked_once(error: Exception) -> None:
    asked = Lying(error)
    with pytest.raises(type(error)):
        Patient(asked).log_batch(3)
    assert asked.calls == 1


def test_a_run_is_created_once_and_interrupting_that_is_a_failure_too() -> None:
    for error in (ValueError("lost"), KeyboardInterrupt()):
        asked = Lying(error)
        patient = Patient(asked)
        with pytest.raises(type(error)):
            patient.create_run(3)
        assert (asked.calls, patient.failures) == (1, 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "API request to http://a:p@ss@h:9/x failed with exception HTTPConnectionPool(host='h', port=9): Max "
            "retries exceeded with url: /x (Caused by NewConnectionError(\"_Connection(host='h', port=9): "
            'Failed to establish a new connection: [Errno 111] Connection refused"))',
            "asking the server failed: Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        ("<html>\nsecond line", "<html>"),
        ("see http://ada:p@ss@h/", "see http://***@h/"),
        ("x" * 1_000_000, "x" * 300 + " ..."),
    ],
)
def test_a_failure_is_one_short_line_without_passwords(text: str, line: str) -> None:
    from mlflow.exceptions import MlflowException

    assert failures.line(MlflowException(text)) == line


@pytest.mark.parametrize(
    ("code", "what"), [("UNAUTHENTICATED", "MLFLOW_TRACKING_PASSWORD"), ("PERMISSION_DENIED", "403")]
)
def test_a_refusal_says_what_to_do(code: str, what: str) -> None:
    refused = failures.refused(rest_error(code), "http://ada:p@ss@h")
    assert isinstance(refused, RefusedError)
    assert what in str(refused)
    assert "p@ss" not in str(refused)
    assert failures.refused(rest_error("INTERNAL_ERROR"), "http://h") is None


def test_a_database_without_its_driver_is_not_waited_for() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("driver_of_a_database")
    refused = failures.unopened(caught.value, "postgresql://ada:p4ss@h/runs")
    assert isinstance(refused, RefusedError)  # which ends a tracker's waiting
    assert "the package driver_of_a_database, is not installed" in str(refused)
    assert "p4ss" not in str(refused)


def test_of_failures_that_may_pass_one_a_minute_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    reports, now = Reports(said.append), [1000.0]
    monkeypatch.setattr("nnlab.tracking.failures.time.monotonic", lambda: now[0])
    places = [Path(f"/{number}") for number in range(3)]
    for number in range(100):
        reports.failed({place: UnopenedError(f"word {number}") for place in places})
    assert said == ["/0: word 0 (and 2 more runs)"]
    now[0] += 61
    reports.failed(dict.fromkeys(places, UnopenedError("word 99")))
    assert said[1:] == ["/0: word 99 (and 2 more runs)"]
    for _ in range(2):
        reports.failed({places[1]: NnlabError("damaged")})
    assert said[2:] == ["/1: damaged"]


_ASK = """
import re
from pathlib import Path
from nnlab.tracking import answers
answers.bound()
from mlflow import MlflowClient
try:
    MlflowClient("http://127.0.0.1:{port}").search_experiments(max_results=1)
except Exception as error:
    print(error)
# Not ``ru_maxrss``, which begins with the memory of the process that started this one.
print("MB", int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


class Endless(BaseHTTPRequestHandler):
    """Sends a page without an end."""

    encodings: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.encodings.append(self.headers["Accept-Encoding"])
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(b"x" * 100_000)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_an_endless_answer_takes_no_memory(endless: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASK.format(port=endless)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "the answer is longer than 32 MB" in done.stdout
    assert int(done.stdout.rpartition("MB")[2]) < 600
    assert Endless.encodings == ["identity"]


class Doubling:
    """A client whose answers to ``create_run`` get lost, and whose acknowledgements may be lies."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.lost = self.lies = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)

        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            if name == "search_runs" and self.lost:  # what is created is not to be found yet
                return []
            if name == "log_batch" and self.lies:
                self.lies -= 1
                return None
            answer = call(*arguments, **keywords)
            if name == "create_run" and self.lost:
                self.lost -= 1
                raise GarbageError("lost")
            return answer

        return wrapped


@pytest.fixture
def doubling(lab: Any, mirror: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Doubling]:
    """A mirror into the lab's sqlite file that believes it to be a server."""
    from nnlab.tracking import creation, sqlite_metrics
    from nnlab.tracking.mirror import Mirror

    uri = store.uri(lab.outputs)
    bad = Doubling(creation.open_store(uri))
    monkeypatch.setattr(creation, "open_store", lambda _: bad)
    monkeypatch.setattr(store, "is_server", lambda _: True)
    monkeypatch.setattr(sqlite_metrics, "insert", lambda *_: False)
    return Mirror(lab.outputs, uri), bad


def run_of(lab: Any) -> Path:
    epochs = [{"type": "metrics", "step": step, "metrics": {"a": 1.0 * step}} for step in range(30)]
    params = {"type": "params", "params": {"seed": 0}}
    status = {"type": "status", "status": "FINISHED", "reason": None}
    directory: Path = lab.journal("runs/a", params, *epochs, {"type": "artifact", "path": "config.yaml"}, status)
    (directory / "config.yaml").write_text("seed: 0")
    return directory


def test_doubles_of_a_run_whose_creation_was_never_answered_are_deleted(
    lab: Any, doubling: tuple[Any, Doubling]
) -> None:
    directory, (mirror, bad) = run_of(lab), doubling
    bad.lost = 2
    for _ in range(2):
        with pytest.raises(GarbageError):
            mirror.run(directory, verify=True)
    assert cursor.read(directory, mirror.key).is_doubtful
    assert mirror.run(directory, verify=True)
    assert sorted(lab.sql("select lifecycle_stage from runs")) == ["active", "deleted"]
    active = "(select run_uuid from runs where lifecycle_stage = 'active')"
    assert lab.sql(f"select count(*) from metrics where run_uuid in {active}") == [30]  # noqa: S608
    rows = lab.rows()
    assert mirror.run(directory, verify=True)
    assert lab.rows() == rows


def test_what_was_acknowledged_and_lost_is_found_missing_and_sent_again(
    lab: Any, doubling: tuple[Any, Doubling]
) -> None:
    directory, (mirror, bad) = run_of(lab), doubling
    bad.lost, bad.lies = 1, 1
    with pytest.raises(GarbageError):
        mirror.run(directory, verify=True)
    assert mirror.run(directory, verify=True)
    assert bad.lies == 0
    assert len(lab.points("a")) == 30
    assert lab.sql("select key, value from params") == [("seed", "0")]
    assert lab.sql("select status from runs where lifecycle_stage = 'active'") == ["FINISHED"]


def test_what_was_acknowledged_and_lost_is_found_without_any_failure(lab: Any, doubling: tuple[Any, Doubling]) -> None:
    directory, (mirror, bad) = run_of(lab), doubling
    bad.lies = 1
    assert mirror.run(directory, verify=True)
    assert bad.lies == 0
    assert len(lab.points("a")) == 30
    assert lab.sql("select key, value from params") == [("seed", "0")]


def test_lost_artifacts_are_found_missing_and_sent_again(lab: Any, doubling: tuple[Any, Doubling]) -> None:
    directory, (mirror, bad) = run_of(lab), doubling
    bad.lost = 1
    with pytest.raises(GarbageError):
        mirror.run(directory, verify=True)
    assert mirror.run(directory, verify=True)
    (place,) = lab.sql("select artifact_uri from runs where lifecycle_stage = 'active'")
    copy = Path(place.removeprefix("file://"), "config.yaml")
    copy.write_text("se")
    assert mirror.run(directory, verify=True)
    assert copy.read_text() == "seed: 0"


def test_redirects_and_long_waits_are_not_for_trackers() -> None:
    assert os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"] == "false"
    assert os.environ["MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER"] == "false"
