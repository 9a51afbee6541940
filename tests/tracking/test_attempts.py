"""Two attempts at one run, as two workers of a cluster journal them: one run in the store, each step once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nnlab import attempt
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]

FINISHED = {"type": "status", "status": "FINISHED", "reason": None}
START = 1_700_000_000_000


def epoch(step: int, loss: float, seconds: float = 0.5, **fields: object) -> Mapping[str, object]:
    return {"type": "metrics", "step": step, "metrics": {"val/loss": loss, "time/train_seconds": seconds}, **fields}


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.tracking import attempts

    monkeypatch.setattr(attempts, "_GRACE_SECONDS", 0)


def begin(lab: Lab, worker: str, *lines: Mapping[str, object], **run: object) -> Path:
    """Write the journal of an attempt as it is on a worker, in an outputs root of its own."""
    directory = lab.journal(f"{worker}/sweeps/s/0", *lines, timestamp=START, **run)
    attempt.begin(directory)
    return directory


def test_the_second_one_sends_the_steps_that_the_store_lacks(lab: Lab, mirror: Mirror) -> None:
    first = begin(lab, "one", epoch(0, 1.0), epoch(1, 0.5))
    assert mirror(first)  # by `nnlab sync`: it counts as dead
    second = begin(lab, "two", *(epoch(step, 0.5**step, 0.7, timestamp=START + 99_000 + step) for step in range(4)))
    lab.append(second, FINISHED)
    assert mirror(second)

    assert lab.sql("select count(*) from runs") == [1]
    assert lab.sql("select status from runs") == ["FINISHED"]
    assert lab.tags()["nnlab.attempt"] == attempt.of(second)
    assert lab.points("val/loss") == [
        (0, 1.0, START + 1000),
        (1, 0.5, START + 2000),
        (2, 0.25, START + 99_002),
        (3, 0.125, START + 99_003),
    ]
    assert [(step, value) for step, value, _ in lab.points("time/train_seconds")] == [
        (0, 0.5),
        (1, 0.5),
        (2, 0.7),
        (3, 0.7),
    ]
    rows = lab.rows()
    assert mirror(second)  # once more changes nothing
    for cursor in second.glob(".mlflow-*"):
        cursor.unlink()
    assert mirror(second)  # nor when nobody remembers what was sent
    assert lab.rows() == rows


def test_the_first_one_sends_nothing_more(lab: Lab, mirror: Mirror) -> None:
    first = begin(lab, "one", epoch(0, 1.0))
    mirror(first)
    second = begin(lab, "two", epoch(0, 1.0, timestamp=START + 99_000))
    mirror(second)
    lab.append(first, epoch(1, 0.5), FINISHED)
    with pytest.raises(NnlabError, match="another worker has begun this run again"):
        mirror(first)
    assert lab.points("val/loss") == [(0, 1.0, START + 1000)]
    assert lab.tags()["nnlab.attempt"] == attempt.of(second)


def test_a_tracker_leaves_what_died_to_the_next_worker(lab: Lab, mirror: Mirror) -> None:
    from nnlab.tracking import store
    from nnlab.tracking.mirror import Mirror as Connection

    first = begin(lab, "one", epoch(0, 1.0))
    connection = Connection(lab.outputs, store.uri(lab.outputs))
    connection.is_follower = True
    assert connection.run(first)
    assert lab.sql("select count(*) from runs") == [0]

    lab.append(first, {"type": "status", "status": "KILLED", "reason": "interrupted"})  # an end that it had itself
    assert connection.run(first)
    assert lab.sql("select status from runs") == ["KILLED"]


def test_a_run_finds_its_sweep_that_is_recorded_elsewhere(lab: Lab, mirror: Mirror) -> None:
    sweep = lab.journal("sweeps/s", FINISHED, run_id="the-sweep", name="seed: 1 runs")
    assert mirror(sweep)
    child = begin(lab, "one", epoch(0, 1.0), FINISHED, parent="the-sweep")
    assert mirror(child)
    (parent,) = lab.sql("select run_uuid from tags where key = 'nnlab.run_id' and value = 'the-sweep'")
    assert lab.sql("select value from tags where key = 'mlflow.parentRunId'") == [parent]


def test_other_numbers_are_told(lab: Lab, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab import journal
    from nnlab.tracking import attempts, entities
    from nnlab.tracking.thinning import Thinning

    directory = begin(lab, "two", epoch(0, 1.0), epoch(1, 0.5), FINISHED)
    points = [
        point
        for event, _ in journal.read_events(directory / "journal.jsonl")
        if event["type"] == "metrics"
        for point in entities.points(event, Thinning())
        if point.name == "val/loss"
    ]
    there = entities.metrics(points[:1])
    assert [point.step for point in attempts.missing(points, there)] == [1]
    there[0]._value = 1.0 + 2**-52
    with pytest.raises(NnlabError, match=r"val/loss=1.0000000000000002 for step 0, this one has 1.0"):
        attempts.missing(points, there)


def test_a_worker_that_gets_a_run_back_goes_on_with_it(lab: Lab, mirror: Mirror) -> None:
    first = begin(lab, "one", epoch(0, 1.0))
    mirror(first)
    second = begin(lab, "two", epoch(0, 1.0, timestamp=START + 50_000), epoch(1, 0.5, timestamp=START + 51_000))
    mirror(second)
    attempt.begin(first)
    lab.append(first, epoch(1, 0.5, timestamp=START + 90_000), epoch(2, 0.25, timestamp=START + 91_000), FINISHED)
    assert mirror(first)
    assert lab.points("val/loss") == [(0, 1.0, START + 1000), (1, 0.5, START + 51_000), (2, 0.25, START + 91_000)]
    lab.append(second, epoch(2, 0.25), FINISHED)
    with pytest.raises(NnlabError, match="another worker"):
        mirror(second)


def test_a_copy_is_left_to_the_tracker_where_it_was_trained(lab: Lab, mirror: Mirror) -> None:
    from nnlab.tracking import cursor, store
    from nnlab.tracking.mirror import Mirror as Connection

    trained = begin(lab, "one", epoch(0, 1.0), FINISHED)
    copy = lab.journal("launcher/sweeps/s/0", epoch(0, 1.0), FINISHED, timestamp=START)
    attempt.begin(copy)
    connection = Connection(lab.outputs, store.uri(lab.outputs))
    connection.is_follower = True
    cursor.write(copy, connection.key, cursor.Cursor(is_elsewhere=True))
    assert not connection.run(copy)  # not yet
    assert lab.sql("select count(*) from runs") == [0]
    assert mirror(trained)
    rows = lab.rows()
    connection = Connection(lab.outputs, store.uri(lab.outputs))
    connection.is_follower = True
    assert connection.run(copy)
    assert cursor.is_mirrored(copy, connection.key)
    assert lab.rows() == rows

    lab.append(copy, {"type": "tags", "tags": {"nnlab.reproduced_by": "r9"}}, {**FINISHED, "timestamp": START + 2000})
    assert mirror(copy)  # what is annotated here
    assert lab.tags()["nnlab.reproduced_by"] == "r9"

    late = lab.journal("launcher/sweeps/s/1", epoch(0, 1.0), FINISHED, timestamp=START, run_id="r1")
    attempt.begin(late)
    cursor.write(late, connection.key, cursor.Cursor(is_elsewhere=True))
    assert mirror(late)  # somebody wants it now
    assert lab.sql("select count(*) from runs") == [2]
