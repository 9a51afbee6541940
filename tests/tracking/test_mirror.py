"""What a hand-written journal becomes in an MLflow store, read back with sqlite3."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pytest

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.tracking.batch import Batch

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]

START = 1_700_000_000_000
FINISHED = {"type": "status", "status": "FINISHED", "reason": None}


def metrics(step: int, **values: object) -> dict[str, object]:
    return {"type": "metrics", "step": step, "metrics": {name.replace("_", "/", 1): v for name, v in values.items()}}


def artifact(path: str) -> dict[str, object]:
    return {"type": "artifact", "path": path}


def artifacts(lab: Lab) -> dict[str, bytes]:
    """Return what lies in the artifact folder of the only run."""
    (uri,) = lab.sql("select artifact_uri from runs")
    root = Path(unquote(urlparse(uri).path))
    assert root.is_relative_to(lab.outputs / "artifacts")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_run_itself(lab: Lab, mirror: Mirror) -> None:
    directory = lab.journal("runs/a", metrics(0, val_loss=1.0), FINISHED)
    assert mirror(directory)

    run = "select name, user_id, status, start_time, end_time, lifecycle_stage from runs"
    assert lab.sql(run) == [("wine-mlp-tanh-s0", "ada", "FINISHED", START, START + 2000, "active")]
    tags = lab.tags()
    assert tags["nnlab.run_id"] == "r0"
    assert tags["mlflow.user"] == "ada"
    assert tags["mlflow.source.name"] == "nnlab train"
    assert tags["seed"] == "0"
    assert tags["nnlab.config_hash"] == "c" * 64
    assert tags["nnlab.data_hash"] == "d" * 64
    assert not {"nnlab.sweep", "mlflow.parentRunId", "nnlab.reason"} & tags.keys()
    where = "select name, artifact_location from experiments where experiment_id != 0"
    assert lab.sql(where) == [("nnlab-wine", (lab.outputs / "artifacts" / "nnlab-wine").as_uri())]


def test_parameters(lab: Lab, mirror: Mirror) -> None:
    many = {f"p.{number}": number for number in range(230)}  # MLflow takes 100 a call
    params = {"dataset": "wine", "optimizer.lr": 0.1, "architecture.hidden_sizes": [5, 5], "a.none": None, "a.b": True}
    mirror(lab.journal("runs/a", {"type": "params", "params": {**params, **many}}, FINISHED))
    assert dict(lab.sql("select key, value from params")) == {
        "dataset": "wine",
        "optimizer.lr": "0.1",
        "architecture.hidden_sizes": "[5, 5]",
        "a.none": "null",
        "a.b": "true",
        **{name: str(value) for name, value in many.items()},
    }


def test_metrics_are_at_their_epoch_with_the_journals_time(lab: Lab, mirror: Mirror) -> None:
    epochs = [metrics(epoch, val_loss=1 / (epoch + 1), lr=0.1) for epoch in range(1200)]
    mirror(lab.journal("runs/a", *epochs, FINISHED, epochs=1000))
    expected = [(epoch, 1 / (epoch + 1), START + 1000 * (epoch + 1)) for epoch in range(1200)]
    assert lab.points("val/loss") == expected
    assert len(lab.points("lr")) == 1200


def test_nan_and_infinities_arrive(lab: Lab, mirror: Mirror) -> None:
    mirror(lab.journal("runs/a", metrics(0, a="NaN", b="Infinity", c="-Infinity"), FINISHED))
    values = {key: (value, is_nan) for key, value, is_nan in lab.sql("select key, value, is_nan from metrics")}
    assert values["a"][1] == 1
    assert values["b"][0] > 1e308 > -1e308 > values["c"][0]


def test_the_data_set_is_an_input_with_our_own_digest(lab: Lab, mirror: Mirror) -> None:
    mirror(lab.journal("runs/a", FINISHED))
    ((name, digest, source, profile),) = lab.sql("select name, digest, dataset_source, dataset_profile from datasets")
    assert (name, digest) == ("wine", "d" * 32)
    assert json.loads(source) == {"source": "UCI wine"}
    assert json.loads(profile)["parts"] == {"train": 107, "val": 36, "test": 35}
    assert len(lab.sql("select * from inputs")) == 1


def test_the_runs_of_a_sweep_are_children(lab: Lab, mirror: Mirror) -> None:
    sweep = lab.journal("sweeps/s", FINISHED, run_id="sweep", name="lr: 2 runs", tags={"nnlab.kind": "sweep"})
    first = lab.journal("sweeps/s/0", FINISHED, run_id="one", parent="sweep", name="lr=1")
    second = lab.journal("sweeps/s/1", FINISHED, run_id="two", parent="sweep", name="lr=2")
    mirror(first)  # its sweep could not be mirrored yet
    with (second / "journal.jsonl").open() as file:
        rest = file.read()
    (second / "journal.jsonl").write_text(rest[: rest.index("\n") + 1])
    alive = Journal(second)
    mirror(second)
    mirror(sweep)
    alive.close("FINISHED")
    mirror(second)
    lab.append(first, metrics(1, lr=1.0), FINISHED)
    mirror(first)
    ids = dict(lab.sql("select name, run_uuid from runs"))
    parents = lab.sql("select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?", ids["lr: 2 runs"])
    assert sorted(parents) == sorted([ids["lr=1"], ids["lr=2"]])
    assert lab.sql("select value from tags where key = 'nnlab.sweep'") == ["sweep", "sweep"]


@pytest.mark.parametrize("where", ["0", "wine/0", "wine/relu/0"])
def test_jobs_may_lie_some_folders_below_their_sweep(lab: Lab, mirror: Mirror, where: str) -> None:
    lab.journal("sweeps/s", FINISHED, run_id="sweep", name="the sweep")
    if "/" in where:
        lab.journal("sweeps/s/wine", FINISHED, run_id="another", name="no sweep")
    mirror(lab.journal(f"sweeps/s/{where}", FINISHED, run_id="job", parent="sweep", name="the job"))
    ids = dict(lab.sql("select name, run_uuid from runs"))
    assert lab.sql("select run_uuid, value from tags where key = 'mlflow.parentRunId'") == [
        (ids["the job"], ids["the sweep"])
    ]


def test_a_job_whose_sweep_is_gone_has_no_parent(lab: Lab, mirror: Mirror) -> None:
    lab.journal("sweeps/s", FINISHED, run_id="another")
    assert mirror(lab.journal("sweeps/s/0", FINISHED, run_id="job", parent="sweep", name="the job"))
    assert lab.sql("select name from runs") == ["the job"]
    assert "mlflow.parentRunId" not in lab.tags()


@pytest.mark.parametrize("where", ["1", "{sweep}/1"])
@pytest.mark.parametrize("is_child_first", [False, True])
def test_a_sweep_names_its_best_child_which_is_mirrored_first_if_need_be(
    lab: Lab, mirror: Mirror, where: str, is_child_first: bool
) -> None:
    place = where.format(sweep=lab.outputs / "sweeps" / "s")
    best = {"type": "tags", "tags": {"nnlab.best_child": "two", "nnlab.best_child_directory": place}}
    sweep = lab.journal("sweeps/s", best, FINISHED, run_id="sweep", name="lr: 2 runs")
    child = lab.journal("sweeps/s/1", metrics(0, val_loss=1.0), FINISHED, run_id="two", parent="sweep", name="lr=2")
    for directory in (child, sweep) if is_child_first else (sweep, child):
        mirror(directory)
        mirror(directory)
    ids = dict(lab.sql("select name, run_uuid from runs"))
    tag = "select run_uuid, value from tags where key = ?"
    assert lab.sql(tag, "nnlab.best_child_mlflow_id") == [(ids["lr: 2 runs"], ids["lr=2"])]
    assert lab.sql(tag, "mlflow.parentRunId") == [(ids["lr=2"], ids["lr: 2 runs"])]
    assert lab.sql("select status from runs") == ["FINISHED"] * 2


@pytest.mark.parametrize("place", ["../../..", "gone", ".", "0", "damaged"])
def test_a_best_child_that_is_none_is_no_matter(lab: Lab, mirror: Mirror, place: str) -> None:
    best = {"type": "tags", "tags": {"nnlab.best_child_directory": place}}
    sweep = lab.journal("sweeps/s", best, FINISHED, run_id="sweep")
    back = {"type": "tags", "tags": {"nnlab.best_child_directory": ".."}}
    lab.journal("sweeps/s/0", back, FINISHED, run_id="child", parent="sweep")
    damaged = lab.journal("sweeps/s/damaged", run_id="damaged", experiment="theirs", parent="sweep")
    with (damaged / "journal.jsonl").open("a") as file:
        file.write("damaged\n")
    (lab.outputs.parent / "journal.jsonl").write_text("not ours\n")
    assert mirror(sweep)
    assert "FINISHED" in lab.sql("select status from runs")


def test_long_runs_have_max_points_with_the_first_the_last_and_the_best(lab: Lab, mirror: Mirror) -> None:
    losses = [abs(epoch - 1003) + 1.0 for epoch in range(3001)]
    epochs = [metrics(epoch, val_loss=losses[epoch], lr=0.1) for epoch in range(3001)]
    end = metrics(3000, final_test_loss=0.5, best_epoch=1003)
    mirror(lab.journal("runs/a", *epochs, end, FINISHED, epochs=3000, tracking={"max_points": 50}))
    steps = [step for step, _, _ in lab.points("val/loss")]
    assert len(steps) == 50
    assert {0, 1003, 3000} <= set(steps)
    assert lab.points("best/epoch") == [(3000, 1003, START + 3_002_000)]
    assert len(lab.points("final/test_loss")) == 1


def test_a_long_run_that_died_has_its_last_and_best_values_too(lab: Lab, mirror: Mirror) -> None:
    epochs = [metrics(epoch, train_loss=1.0) for epoch in range(1, 1778)]
    epochs += [metrics(epoch, val_loss=math.cos(epoch / 300)) for epoch in range(0, 1778, 7)]
    epochs += [metrics(942, update_loss=7.0)]
    mirror(lab.journal("runs/a", *epochs, epochs=5000, eval_every=7, tracking={"max_points": 20}))
    assert lab.points("train/loss")[-1][0] == 1777
    steps = [step for step, _, _ in lab.points("val/loss")]
    assert {0, min(range(0, 1778, 7), key=lambda epoch: math.cos(epoch / 300)), 1771} <= set(steps)
    assert len(steps) <= 20
    assert len(lab.points("update/loss")) == 1


def test_artifacts_are_there_and_pruned_ones_are_not(lab: Lab, mirror: Mirror) -> None:
    lines = [artifact("config.yaml"), artifact("plots/loss.png"), artifact("checkpoints/epoch-000000")]
    lines += [artifact("checkpoints/epoch-000001"), {"type": "pruned", "path": "checkpoints/epoch-000001"}]
    directory = lab.journal("runs/a", *lines, artifact("gone.csv"), FINISHED)
    for name in ("config.yaml", "plots/loss.png", "checkpoints/epoch-000000/0.bias.npy", "not journalled"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(name.encode())
    mirror(directory)
    names = ("config.yaml", "plots/loss.png", "checkpoints/epoch-000000/0.bias.npy")
    assert artifacts(lab) == {name: name.encode() for name in names}


def test_a_dead_run_is_killed_with_what_is_on_disk_and_resumed_it_runs_and_finishes(lab: Lab, mirror: Mirror) -> None:
    directory = lab.journal("runs/a", artifact("checkpoints/epoch-000001"), metrics(1, val_loss=1.0))
    (directory / "checkpoints" / "epoch-000001").mkdir(parents=True)
    (directory / "checkpoints" / "epoch-000001" / "0.bias.npy").write_bytes(b"1")
    with (directory / "journal.jsonl").open("a") as file:
        file.write('{"type":"metr')  # torn
    assert mirror(directory)
    assert lab.sql("select status, end_time from runs") == [("KILLED", START + 2000)]
    assert lab.tags()["nnlab.reason"] == "the process died without closing the run"
    history = b"epoch,val/loss\n1,1.0\n"  # the trainer had no time for it
    assert artifacts(lab) == {"checkpoints/epoch-000001/0.bias.npy": b"1", "history.csv": history}

    resumed = Journal(directory)
    resumed.metrics(2, {"val/loss": 0.5})
    assert not mirror(directory)
    assert lab.sql("select status from runs") == ["RUNNING"]
    resumed.write("pruned", path="checkpoints/epoch-000001")
    resumed.close("FINISHED")
    assert mirror(directory)
    assert lab.sql("select status, count(*) from runs") == [("FINISHED", 1)]
    assert lab.sql("select end_time from runs")[0] > START + 2000
    assert [step for step, _, _ in lab.points("val/loss")] == [1, 2]
    assert "nnlab.reason" not in lab.tags()
    assert artifacts(lab) == {"history.csv": history + b"2,0.5\n"}


def test_what_a_killed_run_had_written_before_it_was_resumed_is_written_anew(lab: Lab, mirror: Mirror) -> None:
    updates = [metrics(step, update_loss=1.0 / step, update_accuracy=0.5) for step in (1, 2)]
    stopped: dict[str, object] = {"type": "status", "status": "KILLED", "reason": "interrupted"}
    written = [artifact("history.csv"), artifact("updates.csv")]
    old = [metrics(1, val_loss=1.0), updates[0], *written, stopped]
    directory = lab.journal("runs/a", *old, metrics(2, val_loss=0.5), updates[1])
    (directory / "history.csv").write_text("epoch,val/loss\n1,1.0\n")
    (directory / "updates.csv").write_text("step,loss,accuracy\n1,1.0,0.5\n")
    assert mirror(directory)
    assert artifacts(lab) == {
        "history.csv": b"epoch,val/loss\n1,1.0\n2,0.5\n",
        "updates.csv": b"step,loss,accuracy\n1,1.0,0.5\n2,0.5,0.5\n",
    }


def test_a_long_run_that_was_killed_and_resumed_has_each_point_once(lab: Lab, mirror: Mirror) -> None:
    lines: list[dict[str, object]] = [{"type": "params", "params": {"seed": 0}}]
    lines += [metrics(epoch, val_loss=math.cos(epoch / 300), train_loss=1 / (epoch + 1)) for epoch in range(1501)]
    again = metrics(1501, val_loss=-2.0, train_loss=0.0)
    rest = [metrics(epoch, val_loss=math.cos(epoch / 300), train_loss=1 / (epoch + 1)) for epoch in range(1502, 3001)]
    end = metrics(3000, final_test_loss=0.5, best_epoch=1501)

    def run(name: str, *lines: Mapping[str, object]) -> Path:
        return lab.journal(f"runs/{name}", *lines, run_id=name, name=name, epochs=3000, tracking={"max_points": 50})

    stopped = {"type": "status", "status": "KILLED", "reason": "interrupted"}
    mirror(run("undisturbed", *lines, {"type": "artifact", "path": "none"}, again, *rest, end, FINISHED))
    resumed = run("resumed", *lines, stopped)
    assert mirror(resumed)
    tags = "select value from tags where key = 'nnlab.reason'"
    assert lab.sql("select status from runs where name = 'resumed'") == ["KILLED"]
    assert lab.sql(tags) == ["interrupted"]

    alive = Journal(resumed)
    assert not mirror(resumed)
    assert lab.sql("select status from runs where name = 'resumed'") == ["RUNNING"]
    assert lab.sql(tags) == []
    lab.append(resumed, again, *rest[:700])
    assert not mirror(resumed)
    lab.append(resumed, *rest[700:], end)
    alive.close_with({**FINISHED, "timestamp": START})
    assert mirror(resumed)
    assert lab.sql("select status from runs where name = 'resumed'") == ["FINISHED"]
    assert lab.sql(tags) == []
    points = "select key, step, value, timestamp from metrics join runs using (run_uuid) where name = ?"
    whole, found = (lab.sql(points, name) for name in ("undisturbed", "resumed"))
    assert set(whole) <= set(found)
    assert {step for _, step, _, _ in set(found) - set(whole)} <= {942, 1500}  # the best and the last when it was dead
    assert len({(key, step) for key, step, _, _ in found}) == len(found)


def test_a_finished_run_that_is_annotated_has_the_tags_and_is_else_as_it_was(lab: Lab, mirror: Mirror) -> None:
    epochs = [metrics(epoch, val_loss=abs(epoch - 1003) + 1.0) for epoch in range(2001)]
    directory = lab.journal("runs/a", *epochs, FINISHED, epochs=2000, tracking={"max_points": 50})
    mirror(directory)
    before = lab.rows()
    (directory / "comparison.json").write_bytes(b"{}")
    for verdict in ("DIFFERENT", "IDENTICAL"):
        journal.annotate(directory, {"nnlab.reproduced": verdict, "nnlab.reproduction": "b" * 32}, ["comparison.json"])
        assert mirror(directory)
        assert lab.tags()["nnlab.reproduced"] == verdict
    assert artifacts(lab)["comparison.json"] == b"{}"
    assert lab.tags()["nnlab.reproduction"] == "b" * 32
    after = lab.rows()
    assert len(after["tags"]) == len(before["tags"]) + 2
    assert {**after, "tags": None} == {**before, "tags": None}  # status, end and each metric's points among them


def test_an_annotation_that_comes_before_the_tracker_or_while_it_looks_is_not_lost(lab: Lab, mirror: Mirror) -> None:
    first = lab.journal("runs/a", FINISHED)
    journal.annotate(first, {"when": "before"})
    mirror(first)
    assert lab.tags()["when"] == "before"
    holding = Journal(first)  # as annotate does for a moment
    assert not mirror(first)
    holding.write("tags", tags={"when": "meanwhile"})
    holding.close_with({**FINISHED, "timestamp": START + 1000})
    assert mirror(first)
    assert lab.tags()["when"] == "meanwhile"
    assert lab.sql("select status, end_time from runs") == [("FINISHED", START + 1000)]


def test_many_and_long_tags_arrive(lab: Lab, mirror: Mirror) -> None:
    mirror(lab.journal("runs/a", {"type": "tags", "tags": {f"t{n}": "x" * 9000 for n in range(230)}}, FINISHED))
    assert [len(text) for name, text in lab.tags().items() if name.startswith("t")] == [5000] * 230


def test_a_failed_run_says_why(lab: Lab, mirror: Mirror) -> None:
    mirror(lab.journal("runs/a", {"type": "status", "status": "FAILED", "reason": "epoch 3: NaN or Inf in layer 2"}))
    assert lab.sql("select status from runs") == ["FAILED"]
    assert lab.tags()["nnlab.reason"] == "epoch 3: NaN or Inf in layer 2"


def test_a_run_that_is_alive_is_mirrored_as_far_as_it_is(lab: Lab, mirror: Mirror) -> None:
    directory = lab.journal("runs/a", metrics(0, val_loss=1.0))
    alive = Journal(directory)
    assert not mirror(directory)
    assert lab.sql("select status, end_time from runs") == [("RUNNING", None)]
    assert len(lab.points("val/loss")) == 1
    alive.close("FINISHED")


def test_what_is_sent_of_a_run_that_is_alive_is_on_the_disk(
    lab: Lab, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = lab.journal("runs/a", metrics(0, val_loss=1.0))
    alive = Journal(directory)
    path = directory / "journal.jsonl"
    synced, sent, fsync, send = [], [], os.fsync, Batch.send

    def note(fd: int) -> None:
        fsync(fd)
        if os.path.samestat(os.fstat(fd), path.stat()):
            synced.append(os.fstat(fd).st_size)

    def note_sent(batch: Batch, *arguments: Any) -> None:
        sent.append((list(synced), [point.step for point in batch.points]))
        send(batch, *arguments)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Batch, "send", note_sent)
    mirror(directory)
    sizes = [path.stat().st_size]
    lab.append(directory, metrics(1, val_loss=0.5))
    mirror(directory)
    sizes.append(path.stat().st_size)
    assert sent == [(sizes[:1], [0]), (sizes, [1])]
    alive.close("FINISHED")


def test_an_untracked_run_or_one_without_a_line_is_left_alone(lab: Lab, mirror: Mirror) -> None:
    before = lab.rows()
    assert mirror(lab.journal("runs/a", FINISHED, tracking=None))
    (lab.outputs / "runs" / "b").mkdir()
    (lab.outputs / "runs" / "b" / "journal.jsonl").write_text('{"type":"ru')
    assert mirror(lab.outputs / "runs" / "b")
    assert lab.rows() == before


@pytest.mark.usefixtures("mirror")
def test_a_copy_of_a_run_does_not_touch_what_the_store_has_of_it(lab: Lab) -> None:
    from nnlab.tracking import store
    from nnlab.tracking.mirror import Mirror as Connection

    run = lab.journal("runs/a", metrics(0, loss=1), metrics(1, loss=0.5))
    copy = run.with_name("b")
    shutil.copytree(run, copy)
    lab.append(run, FINISHED)
    connection = Connection(lab.outputs, store.uri(lab.outputs))
    assert connection.run(run)
    with pytest.raises(NnlabError, match="is a copy of"):
        connection.run(copy)
    assert lab.sql("select status from runs") == ["FINISHED"]
    shutil.rmtree(run)
    assert connection.run(copy), "what was moved is no copy"
