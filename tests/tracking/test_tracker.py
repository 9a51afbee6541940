"""The tracker's loop and its starter, with stores that fail: in this process, with short times."""

from __future__ import annotations

import functools
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nnlab import locks
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.tracking import cursor, detaching, follower, runs, store, sync
from nnlab.tracking.tracker_lock import TrackerLock

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]

FINISHED = {"type": "status", "status": "FINISHED", "reason": None}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, mirror: Mirror) -> None:
    """Short times, the priority of pytest as it is, and connections closed at the end."""
    monkeypatch.setattr(sync, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(sync, "_GRACE_SECONDS", 0.1)
    monkeypatch.setattr(sync, "_GIVE_UP_SECONDS", 1.0)
    monkeypatch.setattr(detaching, "set_priority", lambda **_: None)


def follow(lab: Lab, report: list[str]) -> threading.Thread:
    arguments = {"exit_when_idle": True}
    thread = threading.Thread(target=sync.follow, args=(lab.outputs, report.append), kwargs=arguments, daemon=True)
    thread.start()
    return thread


def test_following_mirrors_a_run_as_it_trains_and_ends_when_idle(lab: Lab) -> None:
    directory = lab.journal("runs/a")
    alive = Journal(directory)
    report: list[str] = []
    thread = follow(lab, report)
    for epoch in range(3):
        alive.metrics(epoch, {"a": epoch})
        lab.wait_for(functools.partial(lambda n: len(lab.points("a")) == n, epoch + 1))
    assert lab.sql("select status from runs") == ["RUNNING"]
    alive.close("FINISHED")
    thread.join(60)
    assert not thread.is_alive()
    assert lab.sql("select status from runs") == ["FINISHED"]
    assert report == []


def test_more_than_fits_a_pass_is_mirrored_pass_by_pass(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_PASS_SECONDS", 0.0)  # one run a pass
    for number in range(5):
        lab.journal(f"runs/{number}", FINISHED, run_id=str(number), experiment="gone" if number == 1 else "there")
    from mlflow import MlflowClient

    client = MlflowClient(store.uri(lab.outputs))
    client.delete_experiment(client.create_experiment("gone"))
    report: list[str] = []
    assert sync.follow(lab.outputs, report.append, exit_when_idle=True) == 0
    assert lab.sql("select status from runs") == ["FINISHED"] * 4
    assert len(report) == 1


def test_a_run_that_begins_while_the_tracker_takes_its_leave_is_mirrored(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.journal("runs/a", FINISHED)
    release = TrackerLock.release
    begun: list[Path] = []

    def begin_then_release(lock: TrackerLock) -> None:
        if not begun:  # a whole run, that saw our lock and so has started no tracker
            begun.append(lab.journal("runs/b", FINISHED, run_id="r1"))
        release(lock)

    monkeypatch.setattr(TrackerLock, "release", begin_then_release)
    assert sync.follow(lab.outputs, lambda _: None, exit_when_idle=True) == 0
    assert lab.sql("select status from runs") == ["FINISHED"] * 2


def test_of_two_trackers_one_goes(lab: Lab) -> None:
    fd = os.open(follower.lock_path(lab.outputs, store.uri(lab.outputs)), os.O_RDWR | os.O_CREAT)
    assert locks.try_lock(fd)
    report: list[str] = []
    assert sync.follow(lab.outputs, report.append, exit_when_idle=True) == 0
    os.close(fd)
    assert report == ["another tracker is at work"]


def test_one_that_only_looks_for_a_tracker_does_not_send_it_away(lab: Lab) -> None:
    directory = lab.journal("runs/a", FINISHED)
    path = follower.lock_path(lab.outputs, store.uri(lab.outputs))
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    assert locks.try_lock(fd, shared=True)
    threading.Timer(0.1, os.close, [fd]).start()
    assert sync.follow(lab.outputs, lambda _: None, exit_when_idle=True) == 0
    assert cursor.is_mirrored(directory, store.key(store.uri(lab.outputs)))


def test_a_damaged_run_and_a_deleted_experiment_do_not_keep_others_or_the_tracker(lab: Lab) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(store.uri(lab.outputs))
    client.delete_experiment(client.create_experiment("gone"))
    bad = lab.journal("runs/a", run_id="bad")
    with (bad / "journal.jsonl").open("a") as file:
        file.write(f"damaged\n{json.dumps({'timestamp': 2, **FINISHED})}\n")
    orphan = lab.journal("runs/b", FINISHED, run_id="orphan", experiment="gone")
    good = lab.journal("runs/c", FINISHED, run_id="good")
    report: list[str] = []
    assert sync.follow(lab.outputs, report.append, exit_when_idle=True) == 0
    assert lab.sql("select value from tags where key = 'nnlab.run_id' and value != 'bad'") == ["good"]
    assert [line.split(": ")[0] for line in report] == [str(bad), str(orphan)]
    assert "is damaged" in report[0]
    assert "restore it" in report[1]

    assert follower.wait(lab.outputs, [good], 60)  # no tracker is needed or started: there is nothing to wait for
    assert not follower.wait(lab.outputs, [good, orphan], 3600)
    assert follower._started == []

    lines: list[str] = []
    assert sync.sync(lab.outputs, lines.append) == 2
    assert lines[0] == "1 run is mirrored"


def test_a_locked_database_is_tried_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{store.uri(lab.outputs)}?timeout=0.05")
    lab.journal("runs/a", FINISHED)
    writer = sqlite3.connect(lab.database)
    writer.execute("begin exclusive")
    report: list[str] = []
    thread = follow(lab, report)
    lab.wait_for(lambda: report)
    writer.rollback()
    writer.close()
    thread.join(60)
    assert not thread.is_alive()
    assert "locked" in report[0]
    assert lab.sql("select status from runs") == ["FINISHED"]


def test_a_directory_that_is_deleted_meanwhile_is_no_matter(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.journal("runs/a", FINISHED)
    monkeypatch.setattr(runs, "find", lambda outputs, find=runs.find: [*find(outputs), outputs / "runs" / "gone"])
    assert sync.follow(lab.outputs, lambda _: None, exit_when_idle=True) == 0
    assert lab.sql("select status from runs") == ["FINISHED"]


def test_a_store_deleted_under_the_tracker_ends_it_and_the_next_makes_it_again(lab: Lab) -> None:
    alive = Journal(lab.journal("runs/a"))
    ended: list[BaseException] = []

    def run() -> None:
        try:
            sync.follow(lab.outputs, lambda _: None, exit_when_idle=True)
        except NnlabError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    lab.wait_for(lambda: lab.sql("select status from runs") == ["RUNNING"])
    lab.database.unlink()
    thread.join(60)
    alive.close("FINISHED")
    assert "was deleted" in str(ended[0])


class Broken(BaseHTTPRequestHandler):
    """A server that is there and answers nothing but an error."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET  # noqa: N815 - its name in the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        pass


@pytest.fixture
def broken_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("place", ["broken_server", "nobody"])
def test_a_server_that_is_down_for_good_is_given_up_without_telling_its_password(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, place: str
) -> None:
    address = request.getfixturevalue(place)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:s3cr3t@{address}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    directory = lab.journal("runs/a", FINISHED)
    report: list[str] = []
    assert sync.follow(lab.outputs, report.append, exit_when_idle=True) == 1
    assert "can't be opened" in report[0]
    assert report[-1] == f"giving up on 1 runs; they are kept in {lab.outputs}, run `nnlab sync`"
    with pytest.raises(NnlabError, match="can't be opened"):
        sync.sync(lab.outputs, report.append)
    recorded = [path.read_text() for path in (*lab.outputs.rglob("*.json*"), *lab.outputs.glob(".tracker*"))]
    assert "s3cr3t" not in "".join([*report, *recorded])
    assert not cursor.is_mirrored(directory, store.key(store.uri(lab.outputs)))


def test_where_the_priority_cannot_be_raised_again_the_tracker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    asked: list[int] = []

    def refuse(pid: int, policy: int, param: os.sched_param) -> None:
        asked.append(policy)
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    detaching.set_priority(low=True)
    detaching.set_priority(low=False)
    assert asked == [os.SCHED_IDLE, os.SCHED_OTHER]
