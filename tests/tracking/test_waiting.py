"""Waiting until runs are mirrored, without a tracker: its cursors are written by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nnlab import mirroring
from nnlab.tracking import cursor, follower, store

LINES = (
    b'{"type":"run","timestamp":1,"run_id":"r"}\n{"type":"status","timestamp":2,"status":"FINISHED","reason":null}\n'
)
FIRST = LINES.index(b"\n") + 1


@pytest.fixture(autouse=True)
def _no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "ensure", lambda *_: None)


@pytest.fixture
def directories(outputs: Path) -> list[Path]:
    found = [outputs / "runs" / str(number) for number in range(60)]
    for directory in found:
        directory.mkdir(parents=True)
        (directory / "journal.jsonl").write_bytes(LINES)
    return found


@pytest.fixture
def mark(outputs: Path) -> Callable[..., None]:
    key = store.key(store.uri(outputs))

    def mark(directory: Path, offset: int = len(LINES), status: str = "FINISHED", problem: str | None = None) -> None:
        cursor.write(directory, key, cursor.Cursor(offset, "m", status, problem))

    return mark


def test_many_runs_are_counted_in_whatever_order_they_come(
    outputs: Path, directories: list[Path], mark: Callable[..., None]
) -> None:
    for directory in directories[1:]:
        mark(directory)
    counts: list[int] = []
    threading.Timer(0.5, mark, [directories[0]]).start()
    assert follower.wait(outputs, directories, 60, counts.append)
    assert counts == list(range(1, 61))


def test_the_time_counts_from_the_last_progress(
    outputs: Path, directories: list[Path], mark: Callable[..., None]
) -> None:
    def come_forward() -> None:
        for step in range(1, 9):  # a cursor that moves on, or a run that is done, every 0.2 s
            mark(directories[0], FIRST if step % 2 else 0, "RUNNING")
            time.sleep(0.2)
        mark(directories[0])

    threading.Thread(target=come_forward).start()
    started = time.monotonic()
    assert follower.wait(outputs, directories[:1], 1.0)
    assert time.monotonic() - started > 1.5
    started = time.monotonic()
    assert not follower.wait(outputs, directories, 0.3)
    assert time.monotonic() - started >= 0.3


def test_a_wait_of_no_seconds_is_none(outputs: Path, directories: list[Path], mark: Callable[..., None]) -> None:
    mark(directories[0])
    assert not follower.wait(outputs, directories, 0.0)
    assert follower.wait(outputs, directories[:1], 0.0)


def test_what_is_said_while_and_after_waiting(
    directories: list[Path],
    mark: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirroring, "_LINE_SECONDS", 0.0)
    for directory in directories[:-2]:
        mark(directory)
    mirroring.wait_until_mirrored(True, directories, 0.2)
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0] == "mirroring into MLflow: 1 of 60 runs"
    assert lines[-1] == "mirroring into MLflow: 58 of 60 runs"
    assert last.startswith("2 of 60 runs are not mirrored within 0.2 s of the last: all is kept in ")

    mark(directories[-1], 0, "RUNNING", problem="the experiment was deleted")
    mark(directories[-2])
    mirroring.wait_until_mirrored(True, directories, 60)
    assert "1 of 60 runs are not mirrored: the experiment was deleted" in capsys.readouterr().out
    mirroring.wait_until_mirrored(True, directories[-1:], 60)
    assert capsys.readouterr().out.startswith("not mirrored: the experiment was deleted")

    mark(directories[-1])
    mirroring.wait_until_mirrored(True, directories, 60)
    assert "\nmirrored into MLflow, " in capsys.readouterr().out
