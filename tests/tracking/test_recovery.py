"""Mirroring again, after losses on either side: the rows are the same, and nothing comes back that was deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.tracking import cursor, sqlite_metrics, store, sync

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]

FINISHED = {"type": "status", "status": "FINISHED", "reason": None}


def metrics(step: int, **values: object) -> dict[str, object]:
    return {"type": "metrics", "step": step, "metrics": values}


@pytest.fixture
def directory(lab: Lab) -> Path:
    """A run with metrics for several calls, parameters and an artifact."""
    epochs = [metrics(epoch, a=float(epoch), b=1.0, c=float("1e-3")) for epoch in range(900)]
    params = {"type": "params", "params": {"seed": 0}}
    directory = lab.journal("runs/a", params, *epochs, {"type": "artifact", "path": "config.yaml"}, FINISHED)
    (directory / "config.yaml").write_text("seed: 0")
    return directory


@pytest.fixture
def client(lab: Lab) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store.uri(lab.outputs))


def lose_cursor(directory: Path) -> None:
    for file in directory.glob(".mlflow-*.json"):
        file.unlink()


def test_a_second_time_changes_no_row(lab: Lab, directory: Path, mirror: Mirror) -> None:
    mirror(directory)
    rows = lab.rows()
    assert len(rows["metrics"]) == 2700
    assert mirror(directory)
    assert mirror(directory, verify=False)
    assert lab.rows() == rows


@pytest.mark.parametrize("content", [None, b"", b'{"offset": 3, "mlflow_run_id": "m", "status": "FINISHED"}'])
def test_a_lost_or_damaged_cursor_changes_no_row(
    lab: Lab, directory: Path, mirror: Mirror, content: bytes | None
) -> None:
    mirror(directory)
    rows = lab.rows()
    (cursor,) = directory.glob(".mlflow-*.json")
    cursor.unlink() if content is None else cursor.write_bytes(content)
    assert mirror(directory)
    assert lab.rows() == rows


def test_a_cursor_of_a_run_that_the_store_never_had_starts_anew(lab: Lab, directory: Path, mirror: Mirror) -> None:
    mirror(directory)
    (cursor,) = directory.glob(".mlflow-*.json")
    (run_id,) = lab.sql("select run_uuid from runs")
    cursor.write_text(cursor.read_text().replace(run_id, "f" * 32))
    rows = lab.rows()
    assert mirror(directory)
    assert lab.rows() == rows


def deaths() -> list[tuple[object, str, int]]:
    """Return calls of a mirror, as object, name and how often it is called before."""
    from mlflow import MlflowClient
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    calls = [(MlflowClient, name, 0) for name in ("create_run", "log_inputs", "log_batch", "set_terminated")]
    metrics = [(sqlite_metrics, "insert", 0), (sqlite_metrics, "insert", 2)]
    return [*calls, *metrics, (LocalArtifactRepository, "log_artifact", 0), *((cursor, "write", n) for n in range(5))]


def contents(lab: Lab, name: str) -> dict[str, Any]:
    """Return what a store has of the only run of that name, but for its own and generated ids."""
    (run_id,) = lab.sql("select run_uuid from runs where name = ?", name)
    tables = {
        "runs": "user_id, status, start_time, end_time, lifecycle_stage",
        "metrics": "key, value, timestamp, step, is_nan",
        "latest_metrics": "key, value, timestamp, step, is_nan",
        "params": "key, value",
        "tags": "key, value",
    }
    found = {}
    for table, columns in tables.items():
        rows = lab.sql(f"select {columns} from {table} where run_uuid = ?", run_id)  # noqa: S608
        found[table] = sorted(row for row in rows if row[0] not in ("nnlab.run_id", "mlflow.runName"))
    found["inputs"] = lab.sql("select count(*) from inputs where destination_id = ?", run_id)
    (uri,) = lab.sql("select artifact_uri from runs where run_uuid = ?", run_id)
    root = Path(uri.removeprefix("file://"))
    found["artifacts"] = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return found


def test_killed_between_any_two_calls_the_next_tracker_ends_with_the_same_rows(
    lab: Lab, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnlab.tracking import mirror as mirror_module

    monkeypatch.setattr(mirror_module, "_MANY", 20)  # points a transaction, of 70
    calls = 0

    def run(name: str) -> Path:
        epochs = [metrics(epoch, a=float(epoch), b="NaN") for epoch in range(35)]
        params = {"type": "params", "params": {"seed": 0}}
        rest = ({"type": "artifact", "path": "config.yaml"}, {"type": "tags", "tags": {"t": "x"}}, FINISHED)
        directory = lab.journal(f"runs/{name}", params, *epochs, *rest, run_id=name, name=name)
        (directory / "config.yaml").write_text("seed: 0")
        return directory

    def killing(call: Callable[..., object], after: bool, at: int) -> Callable[..., object]:
        def wrapped(*arguments: object, **keywords: object) -> object:
            nonlocal calls
            calls += 1
            result = call(*arguments, **keywords) if after or calls <= at else None
            if calls > at:
                raise KeyboardInterrupt
            return result

        return wrapped

    mirror(run("undisturbed"))
    expected = contents(lab, "undisturbed")
    assert len(expected["metrics"]) == 70
    for number, (place, name, at) in enumerate(deaths()):
        for after in (False, True):
            calls = 0
            directory = run(f"{number}-{after}")
            with monkeypatch.context() as patched:
                patched.setattr(place, name, killing(getattr(place, name), after, at))
                with pytest.raises(KeyboardInterrupt):
                    mirror(directory)
            assert mirror(directory)
            assert contents(lab, directory.name) == expected, (name, at, after)


def without_generated_ids(rows: dict[str, list[Any]]) -> dict[str, Any]:
    """Return what two stores of the same run have in common: ids, places and creation times differ."""
    found: dict[str, Any] = {table: len(content) for table, content in rows.items()}
    found["points"] = sorted((key, value, time, step) for key, value, time, _run, step, _nan in rows["metrics"])
    found["run"] = [(run[1], run[5], run[6], run[7], run[8]) for run in rows["runs"]]
    return found


def _forget() -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    while SqlAlchemyStore._engine_map:
        SqlAlchemyStore._engine_map.popitem()[1].dispose()
    from mlflow.tracking._tracking_service import utils

    utils._tracking_store_registry._get_store_with_resolved_uri.cache_clear()


def test_a_store_that_was_deleted_is_made_again(lab: Lab, directory: Path, mirror: Mirror) -> None:
    mirror(directory)
    rows = without_generated_ids(lab.rows())
    _forget()
    lab.database.unlink()
    assert sync.sync(lab.outputs, lambda _: None) == 0
    assert without_generated_ids(lab.rows()) == rows


@pytest.mark.parametrize("is_cursor_lost", [False, True])
def test_a_run_deleted_in_the_ui_stays_deleted(
    lab: Lab, directory: Path, mirror: Mirror, client: Any, is_cursor_lost: bool
) -> None:
    mirror(directory)
    client.delete_run(lab.sql("select run_uuid from runs")[0])
    if is_cursor_lost:
        lose_cursor(directory)
    rows = lab.rows()
    assert mirror(directory)
    assert mirror(directory)
    assert lab.rows() == rows
    assert lab.sql("select lifecycle_stage from runs") == ["deleted"]


def test_a_live_run_deleted_in_the_ui_stays_deleted_until_it_is_restored(lab: Lab, mirror: Mirror, client: Any) -> None:
    directory = lab.journal("runs/a", metrics(0, a=1.0))
    alive = Journal(directory)
    mirror(directory)
    (run_id,) = lab.sql("select run_uuid from runs")
    client.delete_run(run_id)
    alive.metrics(1, {"a": 0.5})
    assert not mirror(directory)
    alive.close("FINISHED")
    assert mirror(directory)
    assert [step for step, _, _ in lab.points("a")] == [0]

    client.restore_run(run_id)
    assert mirror(directory)
    assert [step for step, _, _ in lab.points("a")] == [0, 1]
    assert lab.sql("select status, lifecycle_stage from runs") == [("FINISHED", "active")]


def test_a_deleted_experiment_is_said_and_mended_by_restoring_it(
    lab: Lab, directory: Path, mirror: Mirror, client: Any
) -> None:
    experiment = client.create_experiment("nnlab-wine")
    client.delete_experiment(experiment)
    with pytest.raises(NnlabError, match="'nnlab-wine' was deleted: restore it") as refused:
        mirror(directory)
    assert "\n" not in str(refused.value)
    client.restore_experiment(experiment)
    assert mirror(directory)
    assert lab.sql("select status from runs") == ["FINISHED"]


def test_a_foreign_store_keeps_its_own_place_for_artifacts(
    lab: Lab, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/theirs.db")
    lab.database.rename(tmp_path / "theirs.db")
    lab.database = tmp_path / "theirs.db"
    assert mirror(lab.journal("runs/a", FINISHED))
    (location,) = lab.sql("select artifact_location from experiments where name = 'nnlab-wine'")
    assert str(lab.outputs) not in location
    assert not (lab.outputs / "mlflow.db").exists()


def test_of_many_runs_that_the_store_is_too_ill_for_the_last_are_not_tried(
    lab: Lab, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnlab.tracking.mirror import Mirror as Broken

    def fail(_self: Broken, directory: Path, *, verify: bool) -> bool:
        raise OSError(5, "Input/output error", directory.name)

    for name in "abcde":
        lab.journal(f"runs/{name}", FINISHED, run_id=name)
    monkeypatch.setattr(Broken, "run", fail)
    said: list[str] = []
    assert sync.sync(lab.outputs, said.append) == 5
    assert [line.partition(":")[0] for line in said] == [
        "0 runs are mirrored",
        *["not mirrored"] * 3,
        "not tried, as 3 failed in a row",
    ]
    assert said[-1].endswith(": 2 more")
