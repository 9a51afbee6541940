from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from nnlab.tracking import cursor, runs
from nnlab.tracking.backlog import Backlog

LINES = (
    b'{"type":"run","timestamp":1,"run_id":"r"}\n{"type":"status","timestamp":2,"status":"FINISHED","reason":null}\n'
)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path


def make(outputs: Path, where: str, *, is_mirrored: bool = False) -> Path:
    directory = outputs / where
    directory.mkdir(parents=True)
    (directory / "journal.jsonl").write_bytes(LINES)
    if is_mirrored:
        cursor.write(directory, "key", cursor.Cursor(len(LINES), "m", "FINISHED"))
    return directory


def grow(directory: Path) -> None:
    with (directory / "journal.jsonl").open("ab") as file:
        file.write(b'{"type":"tags","timestamp":3,"tags":{}}\n')


def look(backlog: Backlog) -> list[Path]:
    """Look at all runs."""
    backlog._next_scan = 0.0
    return backlog.look()


def test_what_is_mirrored_is_not_left_unless_the_store_starts_anew(outputs: Path) -> None:
    done = make(outputs, "runs/done", is_mirrored=True)
    left = [make(outputs, "runs/left"), make(outputs, "sweeps/s"), make(outputs, "sweeps/s/0")]
    assert Backlog(outputs, "key").look() == left
    assert Backlog(outputs, "another").look() == Backlog(outputs, None).look() == [done, *left]


def test_a_settled_run_comes_back_when_its_journal_has_grown_since_the_look(outputs: Path) -> None:
    directory = make(outputs, "runs/a")
    backlog = Backlog(outputs, "key")
    assert backlog.look() == [directory]
    backlog.settle(directory)
    assert look(backlog) == []
    grow(directory)
    assert look(backlog) == [directory]
    grow(directory)  # while it is mirrored
    backlog.settle(directory)
    assert look(backlog) == [directory]


def test_between_scans_only_those_that_are_left_are_looked_at(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(outputs, "runs/a"), make(outputs, "runs/b")
    backlog = Backlog(outputs, "key")
    backlog.look()
    backlog._next_scan = math.inf
    monkeypatch.setattr(runs, "find", lambda _: pytest.fail("a scan"))
    make(outputs, "runs/c")
    grow(first)
    shutil.rmtree(second)
    assert backlog.look() == [first]
    assert not backlog.is_fresh
    assert backlog.sizes[first] > len(LINES)


def test_new_runs_come_first_and_those_that_had_a_turn_last(outputs: Path) -> None:
    first, second, third = (make(outputs, f"runs/{name}") for name in "abc")
    backlog = Backlog(outputs, "key")
    assert backlog.look() == [first, second, third]
    backlog.settle(second)
    backlog.end_turn({first, second})
    new = make(outputs, "runs/d")
    assert look(backlog) == [new, third, first]
    assert backlog.is_fresh
