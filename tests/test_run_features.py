"""What the configs can ask of a run besides the plain loop, seen in its record."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab import app, journal, memory, network, runner
from nnlab.build import build
from nnlab.errors import NnlabError
from tests.jobs import job

LENET = (
    "dataset=digits",
    "architecture=lenet",
    "architecture.kernel_size=3",
    "architecture.channels=[2,3]",
    "architecture.hidden_sizes=[8]",
    "architecture.batch_norm=true",
    "architecture.dropout=0.2",
    "augmentation=shift_rotate",
    "activation=leaky_relu",
    "training.epochs=2",
    "training.batch_size=100",
)


def manifest(directory: Path, epoch: int) -> dict[str, Any]:
    text = (directory / "checkpoints" / f"epoch-{epoch:06d}" / "manifest.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def checkpoints(directory: Path) -> dict[str, str]:
    root = directory / "checkpoints"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def arrays(directory: Path, epoch: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / f"checkpoints/epoch-{epoch:06d}").glob("[0-9]*.npy")}


STOPS = (
    "optimizer.lr=1.5",
    "optimizer.momentum=0.9",
    "training.epochs=200",
    "training.early_stopping.patience=4",
    "checkpoint.every=1",
)


def test_early_stopping_restores_the_best_epoch_and_says_which(tmp_path: Path) -> None:
    (outcome,) = runner.run([job(*STOPS, "checkpoint.keep=all")], [tmp_path])
    steps = journal.read(tmp_path).steps
    last = max(steps)
    best = min(steps, key=lambda epoch: steps[epoch]["val/loss"])
    assert last == best + 4 < 200
    assert outcome == ("FINISHED", f"stopped after epoch {last}: no better val/loss since epoch {best}")
    assert steps[last]["final/epoch"] == best
    assert steps[last]["final/val_loss"] == pytest.approx(steps[best]["val/loss"], rel=1e-6)
    assert steps[last]["final/test_accuracy"] == steps[best]["test/accuracy"]
    assert manifest(tmp_path, last)["restored_epoch"] == best
    assert manifest(tmp_path, last)["early_stopping"]["best_epoch"] == best
    assert network.load(tmp_path).epoch == best
    assert network.load(tmp_path, str(last)).epoch == last
    assert arrays(tmp_path, last) != arrays(tmp_path, best)


def test_what_is_restored_stays_beside_the_best_on_the_validation_loss(tmp_path: Path) -> None:
    monitor = "training.early_stopping.monitor=val/accuracy"
    runner.run([job(*STOPS, monitor, "checkpoint.every=null")], [tmp_path])
    steps = journal.read(tmp_path).steps
    last = max(steps)
    most = max(steps, key=lambda epoch: (steps[epoch]["val/accuracy"], -epoch))
    assert manifest(tmp_path, last)["restored_epoch"] == most
    assert {int(path.name[6:]) for path in (tmp_path / "checkpoints").iterdir()} >= {0, most, last}
    assert steps[last]["final/val_accuracy"] == steps[most]["val/accuracy"]


def test_early_stopping_can_leave_the_last_network(tmp_path: Path) -> None:
    runner.run([job(*STOPS, "training.early_stopping.restore_best=false")], [tmp_path])
    steps = journal.read(tmp_path).steps
    last = max(steps)
    assert last < 200
    assert "final/epoch" not in steps[last]
    assert steps[last]["final/val_loss"] == pytest.approx(steps[last]["val/loss"], rel=1e-6)


def test_runs_of_a_stack_stop_each_at_its_own_epoch_as_they_would_alone(tmp_path: Path) -> None:
    jobs = [job(*STOPS, f"seed={seed}", f"optimizer.lr={lr}") for seed, lr in ((0, 1.5), (1, 0.002), (2, 1.0))]
    jobs = [job(*each.overrides[2:], "training.epochs=60") for each in jobs]
    runner.run(jobs, [tmp_path / f"stack{n}" for n in range(3)])
    ends = set()
    for n, each in enumerate(jobs):
        runner.run([each], [tmp_path / f"lone{n}"])
        alone, stacked = journal.read(tmp_path / f"lone{n}"), journal.read(tmp_path / f"stack{n}")
        assert checkpoints(tmp_path / f"lone{n}") == checkpoints(tmp_path / f"stack{n}")
        assert {step: {k: v for k, v in m.items() if "time/" not in k} for step, m in alone.steps.items()} == {
            step: {k: v for k, v in m.items() if "time/" not in k} for step, m in stacked.steps.items()
        }
        ends.add(max(alone.steps))
    assert len(ends) > 1


def test_a_convolutional_stack_leaves_what_lone_runs_leave_with_dropout_batch_norm_and_augmentation(
    tmp_path: Path,
) -> None:
    jobs = [job(*LENET, f"seed={seed}", "optimizer=adam") for seed in (0, 1)]
    runner.run(jobs, [tmp_path / f"stack{n}" for n in range(2)])
    for n, each in enumerate(jobs):
        runner.run([each], [tmp_path / f"lone{n}"])
        assert checkpoints(tmp_path / f"lone{n}") == checkpoints(tmp_path / f"stack{n}")
    assert {"2.running_mean.npy", "optimizer.step.npy"} <= {Path(name).name for name in checkpoints(tmp_path / "lone0")}
    loaded = network.load(tmp_path / "lone0")
    x = np.random.default_rng(0).random((5, 64))
    assert loaded.outputs(x).tobytes() == network.load(tmp_path / "stack0").outputs(x).tobytes()
    assert loaded.outputs(x[:2]) == pytest.approx(loaded.outputs(x)[:2], rel=1e-4)  # running means, no dropout


def test_a_plateau_lowers_the_rate_and_its_state_is_in_the_checkpoint(tmp_path: Path) -> None:
    settings = (
        "schedule=reduce_on_plateau",
        "schedule.patience=0",
        "schedule.factor=0.5",
        "schedule.monitor=val/accuracy",
    )
    runner.run([job(*settings, "optimizer.lr=0.001", "training.epochs=12")], [tmp_path])
    steps = journal.read(tmp_path).steps
    rate, best = 0.001, steps[0]["val/accuracy"]
    for epoch in range(1, 13):
        assert steps[epoch]["lr"] == pytest.approx(rate)
        if steps[epoch]["val/accuracy"] > best * (1 + 1e-4):
            best = steps[epoch]["val/accuracy"]
        else:
            rate /= 2
    assert rate < 0.0005
    assert manifest(tmp_path, 12)["schedule_state"]


def test_a_warm_up_goes_before_any_schedule(tmp_path: Path) -> None:
    runner.run([job("schedule=step", "schedule.step_size=2", "schedule.warmup=2", "schedule.start=0.5")], [tmp_path])
    rates = [values["lr"] for epoch, values in sorted(journal.read(tmp_path).steps.items()) if epoch]
    assert rates == pytest.approx([0.05, 0.075, 0.1, 0.1, 0.01])


def test_penalty_and_diagnostics_are_metrics(tmp_path: Path) -> None:
    asked = "training.diagnostics=[grad_norm,weight_norm,update_ratio,dead_relu]"
    runner.run([job(asked, "loss.l2=0.1", "loss.l1=0.01", "activation=relu")], [tmp_path])
    record = journal.read(tmp_path)
    weights = [np.load(tmp_path / f"checkpoints/epoch-000005/{n}.weight.npy") for n in (0, 2, 4)]
    expected = sum(0.01 * np.abs(w).sum() + 0.05 * (w**2).sum() for w in weights)
    assert record.metrics["final/penalty"] == pytest.approx(expected, rel=1e-5)
    assert record.steps[5]["penalty"] == record.metrics["final/penalty"]
    for name in ("grad_norm/0", "weight_norm/2", "update_ratio/4", "dead_relu/1", "dead_relu/3"):
        assert np.isfinite(record.steps[3][name])
    assert record.steps[5]["weight_norm/4"] == pytest.approx(np.linalg.norm(weights[2]), rel=1e-5)


def test_a_layer_can_have_an_activation_and_an_initialiser_of_its_own(tmp_path: Path) -> None:
    own = ("+activation@architecture.activations.3=gelu", "+initializer@initializer.layers.2=constant")
    composed = job(*own, "initializer.layers.2.value=0.25")
    layers = build([composed.config]).network.layers
    assert [repr(layer).partition("(")[0] for layer in layers] == ["Linear", "Tanh", "Linear", "GELU", "Linear"]
    runner.run([composed], [tmp_path])
    assert (np.load(tmp_path / "checkpoints/epoch-000000/2.weight.npy") == 0.25).all()
    assert np.load(tmp_path / "checkpoints/epoch-000000/0.weight.npy").std() > 0
    params = journal.read(tmp_path).params
    assert params["architecture.activations.3"] == "gelu"
    assert params["initializer.layers.2"] == "constant"
    assert repr(network.load(tmp_path).sequential.layers[3]).startswith("GELU")


def test_a_users_own_table_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    for shift in (0, 5):
        rows = [f"{n + shift},{n % 3},{'ab'[n % 2]}" for n in range(90)]
        table.write_text("\n".join(["x,z,kind", *rows]))
        runner.run([job("dataset=csv", f"dataset.path={table}", "dataset.target=kind")], [tmp_path / f"run{shift}"])
    means = [np.load(tmp_path / f"run{shift}/checkpoints/epoch-000005/input.mean.npy")[0] for shift in (0, 5)]
    assert means[1] == pytest.approx(means[0] + 5)


def test_large_stacks_are_cut_and_leave_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(f"seed={seed}") for seed in range(5)]
    assert memory.best_stack([each.config for each in jobs]) > 5
    runner.run(jobs, [tmp_path / f"whole{n}" for n in range(5)])
    monkeypatch.setattr(memory, "best_stack", lambda configs: 2)
    assert [outcome.status for outcome in runner.run(jobs, [tmp_path / f"cut{n}" for n in range(5)])] == [
        "FINISHED"
    ] * 5
    for n in range(5):
        assert arrays(tmp_path / f"whole{n}", 5) == arrays(tmp_path / f"cut{n}", 5)


def test_a_feature_far_from_zero_keeps_its_digits(tmp_path: Path) -> None:
    """In float32 a Unix time has steps of 128 seconds; standardised before that, minutes can be told apart."""
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 60, 300)
    table = tmp_path / "times.csv"
    table.write_text("\n".join(["time,kind", *(f"{1.7e9 + each:.3f},{'ab'[int(each > 0)]}" for each in offsets)]))
    settings = ("dataset=csv", f"dataset.path={table}", "dataset.target=kind", "training.epochs=30")
    runner.run([job(*settings, "optimizer.lr=0.5")], [tmp_path / "run"])
    metrics = journal.read(tmp_path / "run").metrics
    assert metrics["final/train_accuracy"] > 0.97
    x = np.array([[1.7e9 + each] for each in offsets])
    predicted = network.load(tmp_path / "run").predict(x)
    assert np.mean(predicted == (offsets > 0)) > 0.97


def test_gradient_norms_are_there_while_the_learning_rate_is_0(tmp_path: Path) -> None:
    """Plain SGD's gradients carry the learning rate; clipping turns that off, and at rate 0 nothing is trained."""
    asked = ("training.diagnostics=[grad_norm]", "schedule.per=epoch", "schedule.warmup=2")
    runner.run([job(*asked), job(*asked, "seed=1")], [tmp_path / "plain", tmp_path / "other"])
    runner.run([job(*asked, "optimizer.clip_norm=1e9")], [tmp_path / "clipped"])
    plain, clipped = (journal.read(tmp_path / name).steps for name in ("plain", "clipped"))
    assert plain[1]["lr"] == 0
    assert plain[1]["grad_norm/0"] == pytest.approx(clipped[1]["grad_norm/0"], rel=1e-6)
    assert plain[1]["val/loss"] == plain[0]["val/loss"]


def test_runs_that_can_t_share_a_stack_are_not_built_as_one(tmp_path: Path) -> None:
    jobs = [job("optimizer.clip_norm=0.1"), job("optimizer.clip_norm=10")]
    with pytest.raises(NnlabError, match="runs that differ in optimizer can't share a stack"):
        build([each.config for each in jobs])
    with pytest.raises(NnlabError, match="loss: in one stack l2 must be 0 for all replicas or for none"):
        build([job("loss.l2=0").config, job("loss.l2=1").config])
    outcomes = runner.run(jobs, [tmp_path / "one", tmp_path / "other"])  # which asks first
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FINISHED"]


def test_a_huge_penalty_is_a_number(tmp_path: Path) -> None:
    runner.run([job("loss.l2=1000", "training.epochs=2")], [tmp_path])
    assert np.isfinite(journal.read(tmp_path).metrics["penalty"])


def test_numbers_too_large_are_refused_by_the_name_of_their_feature(tmp_path: Path) -> None:
    table = tmp_path / "huge.csv"
    rows = [f"{n},{'1e300' if n == 7 else n},{'ab'[n % 2]}" for n in range(90)]
    table.write_text("\n".join(["x,z,kind", *rows]))
    for settings in ("dataset.standardize=true", "dataset.standardize=false"):
        with pytest.raises(NnlabError, match="feature 'z' are too large"):
            app.train(
                [
                    "tracking=none",
                    "dataset=csv",
                    f"dataset.path={table}",
                    "dataset.target=kind",
                    "dataset.split=whole",
                    settings,
                ]
            )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["training.early_stopping.patience=3", "dataset.split=whole"],
            ["training.early_stopping.monitor=val/loss", "train/loss, train/accuracy"],
        ),
        (
            ["training.early_stopping.patience=3", "training.early_stopping.monitor=test/loss"],
            ["test part", "val/loss"],
        ),
        (["training.early_stopping.patience=0"], ["training.early_stopping.patience", "greater than or equal to 1"]),
        (["schedule=reduce_on_plateau", "schedule.monitor=val/los"], ["schedule.monitor=val/los", "val/loss"]),
        (
            [
                "training.early_stopping.patience=3",
                "training.early_stopping.monitor=grad_norm/9",
                "training.diagnostics=[grad_norm]",
            ],
            ["monitor=grad_norm/9", "grad_norm/0, grad_norm/2, grad_norm/4"],
        ),
        (
            ["schedule=reduce_on_plateau", "schedule.monitor=dead_relu/1", "training.diagnostics=[dead_relu]"],
            ["this run has none such", "val/loss"],
        ),
        (["schedule.warmup=500", "schedule.per=epoch"], ["schedule.warmup=500 is longer than the run: 100 epochs"]),
        (["schedule=piecewise", "schedule.milestones=[-1,10]"], ["milestones must be at least 0"]),
        (["schedule.warmup=-1"], ["schedule.warmup"]),
        (["training.diagnostics=[grads]"], ["training.diagnostics", "grad_norm"]),
        (["+activation@architecture.activations.2=relu"], ["architecture.activations.2", "choose from 1, 3"]),
        (["+initializer@initializer.layers.1=zeros"], ["initializer.layers.1", "choose from 0, 2, 4"]),
        (
            ["+activation@architecture.activations.1=relu", "architecture.activations.1.x=1"],
            ["architecture.activations.1.x"],
        ),
        (["loss.l2=-1"], ["loss.l2"]),
        (["loss.label_smoothing=2"], ["loss: label_smoothing must be"]),
        (["augmentation=shift_rotate"], ["augmentation", "image"]),
        (["architecture=lenet"], ["architecture"]),
        (["optimizer=adam", "optimizer.beta1=1"], ["optimizer: beta1"]),
        (["optimizer.clip_norm=0"], ["optimizer: clip_norm"]),
        (["initializer=sparse", "architecture=lenet", "dataset=digits", "architecture.kernel_size=3"], ["initializer"]),
    ],
    ids=lambda value: " ".join(value)[:50],
)
def test_mistakes_are_one_line(arguments: list[str], parts: list[str]) -> None:
    with pytest.raises(NnlabError) as caught:
        app.train([*arguments, "tracking=none"])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
