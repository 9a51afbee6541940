"""A run's record: journal, history, checkpoints and plots, and a stack's records beside the lone runs'."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from nnlab import journal, runner
from nnlab.build import streams
from nnlab.data import wine
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.progress import Progress
from nnlab.training import EpochResult
from tests.jobs import job
from tests.test_resume import Copying


def events(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


def checkpoint_epochs(directory: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("epoch-")) for path in (directory / "checkpoints").iterdir())


def forward_by_hand(folder: Path, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 13-5-5-3 tanh network of a checkpoint, one sample after the other, from the textbook."""
    arrays = {path.stem: np.load(path, allow_pickle=False).astype(float) for path in folder.glob("*.npy")}
    outputs = []
    for sample in x:
        a = (sample - arrays["input.mean"]) / arrays["input.std"]
        for layer in (0, 2, 4):
            z = arrays[f"{layer}.weight"] @ a + arrays[f"{layer}.bias"]
            a = np.tanh(z) if layer < 4 else z
        outputs.append(a)
    return np.array(outputs)


def test_a_run_records_everything(tmp_path: Path) -> None:
    lone = job("training.dtype=float64", "seed=3")
    (outcome,) = runner.run([lone], [tmp_path / "run"])
    assert outcome == ("FINISHED", None)
    directory = tmp_path / "run"
    lines = events(directory)
    assert [lines[0]["type"], lines[1]["type"], lines[-1]["type"]] == ["run", "params", "status"]
    assert lines[0]["name"] == "wine-mlp-tanh-s3"
    assert lines[0]["dataset"]["hash"] == wine().data_hash
    assert lines[0]["tags"]["nnlab.code_version"] == code_version()
    assert lines[0]["tags"]["seed"] == "3"
    assert lines[1]["params"]["activation"] == "tanh"
    assert lines[1]["params"]["training.blas_threads"] >= 1
    assert lines[-1]["status"] == "FINISHED"
    assert yaml.safe_load((directory / "config.yaml").read_text()) == lone.config.to_dict()

    epochs = [line for line in lines if line["type"] == "metrics"]
    assert [line["step"] for line in epochs] == [0, 1, 2, 3, 4, 5, 5]
    assert set(epochs[0]["metrics"]) == {"val/loss", "val/accuracy", "test/loss", "test/accuracy", "time/eval_seconds"}
    assert {"train/loss", "train/accuracy", "lr", "time/train_seconds", "val/loss"} <= set(epochs[1]["metrics"])

    with (directory / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[0]["train/loss"] == ""
    for row, line in zip(rows, epochs, strict=False):
        assert {name: float(value) for name, value in row.items() if value and name != "epoch"} == line["metrics"]

    artifacts = [line["path"] for line in lines if line["type"] == "artifact"]
    assert {"config.yaml", "history.csv", "plots/loss.png", "plots/accuracy.png", "plots/confusion.png"} <= {*artifacts}
    for plot in (directory / "plots").iterdir():
        assert plot.read_bytes().startswith(b"\x89PNG")


def test_final_metrics_are_what_the_last_checkpoint_gives_by_hand(tmp_path: Path) -> None:
    runner.run([job("training.dtype=float64", "seed=3")], [tmp_path])
    metrics = journal.read(tmp_path).metrics
    data = wine()
    split = data.splitter(streams(3).split)
    for name in ("train", "val", "test"):
        indices = getattr(split, name)
        z = forward_by_hand(tmp_path / "checkpoints" / "epoch-000005", data.x[indices])
        labels = data.y[indices]
        losses = [np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, labels, strict=True)]
        assert metrics[f"final/{name}_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert metrics[f"final/{name}_accuracy"] == np.mean(z.argmax(axis=1) == labels)


def test_best_is_chosen_on_val_loss(tmp_path: Path) -> None:
    runner.run([job("optimizer.lr=2", "training.epochs=30")], [tmp_path])
    steps = journal.read(tmp_path).steps
    best = min(steps, key=lambda epoch: steps[epoch]["val/loss"])
    last = steps[30]
    assert last["best/epoch"] == best
    assert last["best/val_loss"] == steps[best]["val/loss"]
    assert last["best/test_accuracy"] == steps[best]["test/accuracy"]
    assert checkpoint_epochs(tmp_path) == sorted({0, best, 30})
    manifest = json.loads((tmp_path / "checkpoints" / "epoch-000030" / "manifest.json").read_text())
    assert manifest["best"]["epoch"] == best
    assert manifest["optimizer"]["lr"] == 2
    assert manifest["schedule"]["_target_"] == "nnlab.optim.schedules.constant"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["checkpoint.every=null"], {0, 5}),
        (["checkpoint.every=2", "checkpoint.keep=all"], {0, 2, 4, 5}),
        (["dataset.split=whole"], {0, 5}),
    ],
)
def test_which_checkpoints_stay(overrides: list[str], expected: set[int], tmp_path: Path) -> None:
    runner.run([job("optimizer.lr=0.001", *overrides)], [tmp_path])
    best = journal.read(tmp_path).metrics.get("best/epoch")
    kept = {*expected, int(best)} if best is not None and "checkpoint.every=null" not in overrides else expected
    assert {*checkpoint_epochs(tmp_path)} == kept
    folders = {path for path in journal.read(tmp_path).artifacts if path.startswith("checkpoints/")}
    assert folders == {f"checkpoints/epoch-{epoch:06d}" for epoch in kept}


def test_without_a_validation_part_there_is_no_best(tmp_path: Path) -> None:
    runner.run([job("dataset.split=whole")], [tmp_path])
    metrics = journal.read(tmp_path).metrics
    assert not any(name.startswith(("best/", "val/", "test/", "final/test")) for name in metrics)
    assert metrics["final/train_accuracy"] > 0


def test_a_stack_leaves_byte_for_byte_what_lone_runs_leave(tmp_path: Path) -> None:
    sweep = [["seed=0"], ["seed=1", "optimizer.lr=0.3"], ["seed=2", "initializer=uniform", "schedule=cosine"]]
    jobs = [job("optimizer.momentum=0.5", *overrides) for overrides in sweep]
    runner.run(jobs, [tmp_path / f"stack{number}" for number in range(3)])
    for number, lone in enumerate(jobs):
        runner.run([lone], [tmp_path / f"lone{number}"])
        stacked, alone = (
            {
                path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted((root / "checkpoints").rglob("*"))
                if path.is_file()
            }
            for root in (tmp_path / f"stack{number}", tmp_path / f"lone{number}")
        )
        assert stacked == alone
        for name, value in journal.read(tmp_path / f"lone{number}").metrics.items():
            if not name.startswith("time/"):
                assert journal.read(tmp_path / f"stack{number}").metrics[name] == value


def test_a_diverging_run_fails_with_epoch_and_layer_and_spares_the_rest_of_its_stack(tmp_path: Path) -> None:
    jobs = [job("activation=relu", f"optimizer.lr={lr}", "loss=mse") for lr in (0.01, 1e30)]
    fine, failed = runner.run(jobs, [tmp_path / "fine", tmp_path / "failed"])
    assert fine.status == "FINISHED"
    assert failed.status == "FAILED"
    record = journal.read(tmp_path / "failed")
    assert record.status == "FAILED"
    assert record.reason is not None
    assert "epoch 1" in record.reason
    assert "layer 0, Linear(13 -> 5), weight" in record.reason
    assert {"history.csv", "plots/loss.png"} <= set(record.artifacts)
    assert journal.read(tmp_path / "fine").metrics["final/train_accuracy"] > 0


class Interrupting(Progress):
    def epoch(self, result: EpochResult, epochs: int, runs: int = 1) -> None:
        if result.epoch == 2:
            raise KeyboardInterrupt


class Breaking(Progress):
    def epoch(self, result: EpochResult, epochs: int, runs: int = 1) -> None:
        if result.epoch == 2:
            raise MemoryError("no room")


def test_an_interrupted_run_is_closed_as_killed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run([job()], [tmp_path], progress=Interrupting("x"))
    record = journal.read(tmp_path)
    assert (record.status, record.reason) == ("KILLED", "interrupted")
    assert sorted(record.steps) == [0, 1, 2]
    assert {"history.csv", "plots/loss.png"} <= set(record.artifacts)


def test_a_broken_run_is_closed_as_failed_with_its_reason(tmp_path: Path) -> None:
    (outcome,) = runner.run([job()], [tmp_path], progress=Breaking("x"))
    assert outcome == ("FAILED", "MemoryError: no room")
    record = journal.read(tmp_path)
    assert (record.status, record.reason) == outcome
    assert sorted(record.steps) == [0, 1, 2]
    assert "Traceback" in (tmp_path / "train.log").read_text()


def test_initial_weights_can_be_given(tmp_path: Path) -> None:
    runner.run([job("seed=5", "dataset.split=whole", "training.batching=sequential")], [tmp_path / "first"])
    start = tmp_path / "first" / "checkpoints" / "epoch-000000"
    again = job("seed=6", "dataset.split=whole", "training.batching=sequential", f"initializer.from={start}")
    runner.run([again], [tmp_path / "second"])
    for name in ("0.weight", "4.bias"):
        first, second = (
            np.load(tmp_path / run / "checkpoints" / "epoch-000005" / f"{name}.npy") for run in ("first", "second")
        )
        assert np.array_equal(first, second)


def test_a_directory_that_holds_a_run_takes_no_second_one(tmp_path: Path) -> None:
    runner.run([job()], [tmp_path])
    before = (tmp_path / "journal.jsonl").read_bytes()
    with pytest.raises(NnlabError, match="holds a run already"):
        runner.run([job("seed=1")], [tmp_path])
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_two_trainers_cannot_write_one_run(tmp_path: Path) -> None:
    held = journal.Journal(tmp_path)
    with pytest.raises(NnlabError, match="another process"):
        runner.run([job()], [tmp_path])
    held.close("KILLED")


def test_updates_are_recorded_on_request(tmp_path: Path) -> None:
    runner.run([job("training.updates=10", "training.log_every_updates=3", "training.batch_size=30")], [tmp_path])
    recorded = [line for line in events(tmp_path) if "update/loss" in line.get("metrics", {})]
    assert [line["step"] for line in recorded] == [0, 3, 6, 9]
    assert max(journal.read(tmp_path).steps) == 3  # 107 samples in batches of 30: 4 updates an epoch
    assert {"updates.csv", "plots/updates.png"} <= set(journal.read(tmp_path).artifacts)
    with (tmp_path / "updates.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["step", "loss", "accuracy"]
    assert [(int(step), float(loss), float(accuracy)) for step, loss, accuracy in rows] == [
        (line["step"], line["metrics"]["update/loss"], line["metrics"]["update/accuracy"]) for line in recorded
    ]


def test_the_updates_of_a_stack_are_each_runs_own_and_without_a_request_there_are_none(tmp_path: Path) -> None:
    jobs = [job("training.log_every_updates=1", f"seed={seed}") for seed in (0, 1)]
    runner.run(jobs, [tmp_path / "0", tmp_path / "1"])
    runner.run(jobs[1:], [tmp_path / "lone"])
    stacked, lone = ((tmp_path / name / "updates.csv").read_text() for name in ("1", "lone"))
    assert stacked == lone != (tmp_path / "0" / "updates.csv").read_text()
    runner.run([job()], [tmp_path / "without"])
    assert not [path for path in journal.read(tmp_path / "without").artifacts if "updates" in path]


def test_runs_take_further_tags_beside_their_own(tmp_path: Path) -> None:
    tags = {"nnlab.reproduces": "a" * 32, "seed": "not the run's"}
    runner.run([job("seed=4"), job("seed=5")], [tmp_path / "0", tmp_path / "1"], tags=tags)
    for number, seed in enumerate("45"):
        written = events(tmp_path / str(number))[0]["tags"]
        assert (written["nnlab.reproduces"], written["seed"]) == ("a" * 32, seed)


@pytest.mark.usefixtures("prompt_checkpoints")
def test_a_resumed_run_has_its_pictures(tmp_path: Path) -> None:
    one = job("training.log_every_updates=2")
    runner.run([one], [tmp_path / "a"], progress=Copying(tmp_path / "a", tmp_path / "copies", every=3))
    directory = tmp_path / "copies" / "epoch3"
    runner.run([one], [directory], resume=True)
    for name in ("plots/loss.png", "plots/confusion.png", "plots/updates.png", "updates.csv"):
        assert (directory / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
    before, after = ((place / "history.csv").read_text().splitlines() for place in (tmp_path / "a", directory))
    assert len(before) == len(after)
    assert before[:4] == after[:4]
