"""Rows put straight into the store's tables against those that MLflow's own way leaves."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlab.tracking import sqlite_metrics, store

if TYPE_CHECKING:
    from nnlab.tracking.entities import Point
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]

VALUES = st.floats() | st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 1.7976931348623157e308])
POINTS = st.tuples(st.sampled_from(["val/loss", "lr", "a b.c-d_0"]), VALUES, st.integers(0, 3), st.integers(-2, 3))


@pytest.fixture
def client(lab: Lab, mirror: Mirror) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store.uri(lab.outputs))


def points(*fields: tuple[str, float, int, int]) -> list[Point]:
    from nnlab.tracking.entities import Point

    return [Point(*each) for each in fields]


def rows(lab: Lab, run_id: str) -> list[list[Any]]:
    columns = "select key, value, timestamp, step, is_nan, typeof(value), typeof(step), typeof(is_nan)"
    tables = ("metrics", "latest_metrics")
    return [sorted(lab.sql(f"{columns} from {table} where run_uuid = ?", run_id)) for table in tables]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(POINTS, min_size=1, max_size=12), min_size=1, max_size=3))
def test_the_rows_are_those_of_mlflows_own_way(
    lab: Lab, client: Any, batches: list[list[tuple[str, float, int, int]]]
) -> None:
    from mlflow.entities import Metric

    ours, theirs = (client.create_run("0").info.run_id for _ in range(2))
    for batch in [*batches, batches[0]]:  # again what is there
        assert sqlite_metrics.insert(lab.database, ours, points(*batch))
        client.log_batch(theirs, [Metric(*point) for point in batch])
    assert rows(lab, ours) == rows(lab, theirs)


REFUSED = [
    ("../loss", 1.0, 1, 1),
    ("a//b", 1.0, 1, 1),
    ("a/", 1.0, 1, 1),
    ("a/./b", 1.0, 1, 1),
    ("", 1.0, 1, 1),
    ("a@b", 1.0, 1, 1),
    ("a" * 251, 1.0, 1, 1),
    ("a\n", 1.0, 1, 1),
    ("a", 1.0, -1, 1),
    ("a", 1.0, 1.5, 1),
    ("a", 1.0, 1, "1"),
    ("a", 1.0, 1, True),
    ("a", 1.0, 1, 2**63),
]


@pytest.mark.parametrize("refused", REFUSED)
def test_what_mlflow_might_refuse_is_left_to_it(lab: Lab, client: Any, refused: tuple[Any, ...]) -> None:
    run_id = client.create_run("0").info.run_id
    assert not sqlite_metrics.insert(lab.database, run_id, points(("fine", 1.0, 1, 1), refused))
    assert rows(lab, run_id) == [[], []]


CHANGES = [
    "alter table metrics add column colour text",
    "alter table latest_metrics rename column step to epoch",
    "create trigger watched after insert on metrics begin select 1; end",
    "drop table latest_metrics",
    "update runs set lifecycle_stage = 'deleted'",
    "delete from runs",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_store_that_is_not_as_known_is_left_to_mlflow(lab: Lab, client: Any, change: str) -> None:
    run_id = client.create_run("0").info.run_id
    with closing(sqlite3.connect(lab.database, isolation_level=None)) as connection:
        connection.execute(change)
    assert not sqlite_metrics.insert(lab.database, run_id, points(("fine", 1.0, 1, 1)))
    assert lab.sql("select count(*) from metrics") == [0]


def test_a_store_that_is_gone_or_locked_is_left_to_mlflow(
    lab: Lab, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = client.create_run("0").info.run_id
    monkeypatch.setattr(sqlite_metrics, "_BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(lab.database, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        assert not sqlite_metrics.insert(lab.database, run_id, points(("fine", 1.0, 1, 1)))
    gone = lab.outputs / "gone.db"
    assert not sqlite_metrics.insert(gone, run_id, points(("fine", 1.0, 1, 1)))
    assert not gone.exists()
    assert rows(lab, run_id) == [[], []]


def test_where_it_does_not_work_the_mirror_takes_mlflows_own_way(
    lab: Lab, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_metrics, "insert", lambda *_: False)
    epochs = [{"type": "metrics", "step": epoch, "metrics": {"a": epoch / 7, "b": "NaN"}} for epoch in range(700)]
    end = {"type": "status", "status": "FINISHED", "reason": None}
    directory = lab.journal("runs/a", {"type": "params", "params": {f"p{n}": n for n in range(130)}}, *epochs, end)
    assert mirror(directory)
    assert [(step, value) for step, value, _ in lab.points("a")] == [(epoch, epoch / 7) for epoch in range(700)]
    assert lab.sql("select count(*) from metrics where key = 'b' and is_nan") == [700]
    assert lab.sql("select count(*) from params") == [130]
