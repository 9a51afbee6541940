"""End to end: ``nnlab train`` and its tracker as processes, some of them killed; MLflow's store read with sqlite3."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pytest

from nnlab.journal import Journal

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab, Processes

LONG = ("train", "dataset=wine", "training.epochs=200000", "training.eval_every=50", "tracking.max_points=null")


def events(directory: Path, kind: str) -> list[dict[str, Any]]:
    lines = (directory / "journal.jsonl").read_bytes().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return [event for event in found if event["type"] == kind]


def journalled(directory: Path) -> list[tuple[str, int, float, int]]:
    """Return every (name, step, value, timestamp) of a journal."""
    return sorted(
        (name, event["step"], value, event["timestamp"])
        for event in events(directory, "metrics")
        for name, value in event["metrics"].items()
    )


def mirrored(lab: Lab) -> list[tuple[str, int, float, int]]:
    return sorted(lab.sql("select key, step, value, timestamp from metrics"))


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_a_run_is_whole_in_mlflow(lab: Lab, nnlab: Processes) -> None:
    output = nnlab.run("train", "dataset=wine", "training.epochs=12")
    assert f"outputs  {lab.outputs}\n" in output
    assert f"store    sqlite:///{lab.database}\n" in output
    assert "mirrored into MLflow" in output

    directory = nnlab.journal(1)
    assert lab.sql("select status from runs") == ["FINISHED"]
    (params,) = events(directory, "params")
    written = {name: as_text(value) for name, value in params["params"].items()}
    assert dict(lab.sql("select key, value from params")) == written
    assert mirrored(lab) == journalled(directory)
    with (directory / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [step for step, _, _ in lab.points("val/loss")] == [int(row["epoch"]) for row in rows] == list(range(13))
    assert [value for _, value, _ in lab.points("test/loss")] == [float(row["test/loss"]) for row in rows]

    (uri,) = lab.sql("select artifact_uri from runs")
    root = Path(unquote(urlparse(uri).path))
    there = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    kept = [*directory.glob("plots/*"), *directory.glob("checkpoints/*/*"), *directory.glob("*.csv")]
    kept += [directory / "config.yaml", directory / "environment.json", *directory.glob("uncommitted.diff")]
    assert there == {path.relative_to(directory).as_posix(): path.read_bytes() for path in kept}
    assert {"plots/loss.png", "checkpoints/epoch-000000/0.weight.npy", "history.csv"} < there.keys()


def test_the_tracker_does_not_hold_the_pipe(lab: Lab, nnlab: Processes) -> None:
    alive = Journal(lab.journal("runs/0-alive"))  # so that the tracker stays
    command = f"'{sys.executable}' -m nnlab train dataset=wine training.epochs=2 | cat"
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=True).stdout
    assert "mirrored into MLflow" in output
    assert nnlab.is_tracker_at_work()
    alive.close("FINISHED")


def test_a_trainer_killed_with_kill_9_ends_as_killed_with_all_that_was_journalled(lab: Lab, nnlab: Processes) -> None:
    trainer = nnlab.start(*LONG)
    directory = nnlab.journal(300)
    trainer.kill()
    trainer.wait()
    lab.wait_for(lambda: lab.sql("select status from runs") == ["KILLED"])
    assert mirrored(lab) == journalled(directory)
    assert lab.tags()["nnlab.reason"] == "the process died without closing the run"
    (end,) = lab.sql("select end_time from runs")
    assert end == max(timestamp for _, _, _, timestamp in journalled(directory))


def test_a_trainer_does_not_need_its_tracker_and_sync_completes_the_record(lab: Lab, nnlab: Processes) -> None:
    tracker = nnlab.start("sync", "--follow", "--exit-when-idle")
    lab.wait_for(nnlab.is_tracker_at_work)
    trainer = nnlab.start("train", "dataset=wine", "training.epochs=900", "tracking.wait_seconds=0")
    directory = nnlab.journal(30)
    tracker.kill()
    output, _ = trainer.communicate(timeout=240)
    assert trainer.returncode == 0
    assert "run `nnlab sync`" in output
    assert events(directory, "status")[0]["status"] == "FINISHED"

    assert "1 run is mirrored" in nnlab.run("sync")
    assert lab.sql("select status from runs") == ["FINISHED"]
    assert mirrored(lab) == journalled(directory)
    rows = lab.rows()
    assert "1 run is mirrored" in nnlab.run("sync")
    assert lab.rows() == rows


def test_a_tracker_that_was_killed_is_replaced_when_the_run_is_over(lab: Lab, nnlab: Processes) -> None:
    tracker = nnlab.start("sync", "--follow", "--exit-when-idle")
    lab.wait_for(nnlab.is_tracker_at_work)
    trainer = nnlab.start("train", "dataset=wine", "training.epochs=900")
    directory = nnlab.journal(30)
    tracker.kill()
    output, _ = trainer.communicate(timeout=240)
    assert "mirrored into MLflow" in output
    assert lab.sql("select status from runs") == ["FINISHED"]
    assert mirrored(lab) == journalled(directory)


def test_interrupted_trainers_close_their_runs_as_killed(lab: Lab, nnlab: Processes) -> None:
    trainers = []
    for number, interrupt in enumerate((signal.SIGTERM, signal.SIGINT), 1):
        trainer = nnlab.start(*LONG, f"seed={number}", f"hydra.run.dir={lab.outputs}/runs/{number}")
        nnlab.journal(6, str(number))
        trainer.send_signal(interrupt)
        trainers.append(trainer)
    for number, trainer in enumerate(trainers, 1):
        output, _ = trainer.communicate(timeout=240)
        assert trainer.returncode == 130
        assert output.endswith("nnlab: interrupted\n")
        (status,) = events(lab.outputs / "runs" / str(number), "status")
        assert (status["status"], status["reason"]) == ("KILLED", "interrupted")
    lab.wait_for(lambda: lab.sql("select status from runs") == ["KILLED", "KILLED"])
    assert lab.sql("select value from tags where key = 'nnlab.reason'") == ["interrupted", "interrupted"]
    assert sorted(lab.sql("select value from tags where key = 'seed'")) == ["1", "2"]


def test_without_tracking_there_is_neither_store_nor_tracker(lab: Lab, nnlab: Processes) -> None:
    lab.database.unlink()
    output = nnlab.run("train", "dataset=wine", "training.epochs=2", "tracking=none")
    assert "tracking=none" in output
    assert {path.name for path in lab.outputs.iterdir()} == {"runs"}
    assert events(nnlab.journal(1), "status")[0]["status"] == "FINISHED"


def test_a_password_in_the_stores_address_is_neither_printed_nor_kept(
    lab: Lab, nnlab: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:p@ss@127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    output = nnlab.run("train", "dataset=wine", "training.epochs=2", "tracking.wait_seconds=0")
    assert "http://***@127.0.0.1:9" in output
    (log,) = lab.outputs.glob(".tracker-*.log")
    lab.wait_for(lambda: "can't be opened" in log.read_text())
    changed = set(lab.outputs.rglob("uncommitted.diff"))  # of the checkout: perhaps of this very test
    kept = [
        path.read_bytes() for path in lab.outputs.rglob("*") if path.is_file() and path not in {lab.database, *changed}
    ]
    assert "p@ss" not in output
    assert not any(b"p@ss" in content for content in kept)


def test_a_tracker_killed_while_it_makes_the_store_is_no_obstacle_to_the_next(lab: Lab, nnlab: Processes) -> None:
    """MLflow can't go on with a sqlite file whose schema is half made."""
    lab.database.unlink()
    lab.journal("runs/a", {"type": "status", "status": "FINISHED", "reason": None})
    tracker = nnlab.start("sync", "--follow", "--exit-when-idle")
    half_made = lab.outputs / ".mlflow.db.new"
    lab.wait_for(lambda: half_made.exists() and half_made.stat().st_size > 50_000)
    tracker.kill()
    tracker.wait()
    assert half_made.exists()
    assert not lab.database.exists()
    assert "1 run is mirrored" in nnlab.run("sync")
    assert lab.sql("select status from runs") == ["FINISHED"]
    assert not half_made.exists()
