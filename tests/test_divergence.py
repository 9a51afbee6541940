"""What becomes NaN or Inf fails, wherever it is first seen, and names epoch and layer."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nnlab import figures, journal, plots, runner
from tests.jobs import job
from tests.reproduction.runs import without_plots

RUN = ["dataset=moons", "dataset.samples=60", "architecture.hidden_sizes=[3]", "training.epochs=4"]
LAST = ["dataset.split=whole", "activation=identity", "loss=mse", "optimizer.lr=1e15", "training.batch_size=null"]
PENALTY = [
    "training.dtype=float64",
    "initializer=constant",
    "initializer.value=1e200",
    "loss.l2=1",
    "optimizer.lr=1e-9",
]
FROZEN = [
    "optimizer=rmsprop",
    "optimizer.lr=1e-3",
    "initializer=constant",
    "initializer.value=1e7",
    "loss=mse",
    "activation=identity",
]
BEFORE = ["initializer=constant", "initializer.value=3e38", "activation=relu"]


@pytest.mark.parametrize(
    ("settings", "epochs", "reason"),
    [
        (LAST, 1, "epoch 1: NaN or Inf in final/train_loss, of the outputs of layer 2, Linear(3 -> 2)"),
        (PENALTY, 4, "epoch 0: NaN or Inf in penalty, of the weights of layer 0, Linear(2 -> 3)"),
        (FROZEN, 4, "epoch 1: NaN or Inf in layer 0, Linear(2 -> 3), weight, the optimiser's square_avg"),
        (BEFORE, 4, "epoch 0: NaN or Inf in val/loss, test/loss, of the outputs of layer 2, Linear(3 -> 2)"),
    ],
    ids=["evaluated once, at the end", "in the penalty", "in the optimiser alone", "before training"],
)
def test_it_is_seen_wherever_it_is(
    settings: list[str], epochs: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    (outcome,) = runner.run([job(*RUN, *settings, f"training.epochs={epochs}")], [tmp_path])
    record = journal.read(tmp_path)
    assert (outcome.status, outcome.reason) == (record.status, record.reason) == ("FAILED", reason)
    assert not any(name.startswith("final/") for name in record.metrics)
    for path in tmp_path.glob("checkpoints/*/*.npy"):
        assert np.isfinite(np.load(path)).all()
    lines = [json.loads(line) for line in (tmp_path / journal.NAME).read_text().splitlines()]
    assert lines[-1]["status"] == "FAILED"


def test_one_of_a_stack_fails_at_its_end_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    jobs = [job(*RUN, *LAST, "training.epochs=1", f"optimizer.lr={rate}") for rate in (0.1, 1e15, 0.2)]
    outcomes = runner.run(jobs, [tmp_path / str(place) for place in range(3)])
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FAILED", "FINISHED"]


def test_losses_near_the_end_of_float64_are_drawn_without_a_warning(tmp_path: Path) -> None:
    steps = {epoch: {"train/loss": 10.0 ** (60 * epoch), "val/loss": math.inf} for epoch in range(6)}
    figures.save(plots.curves(steps, "loss", "growing"), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").stat().st_size > 5000
