"""Two runs' records, written by hand, compared."""

import math
from pathlib import Path
from typing import Any

import pytest

from nnlab.reproduction.difference import Departure, compare_checkpoints, compare_numbers
from nnlab.reproduction.past import Past, Steps
from nnlab.reproduction.predictions import PartChange
from nnlab.reproduction.run_report import RunVerdict, judge

RTOL = 1e-5
NAN = math.nan


def manifest(epoch: int, weight: str = "a", **more: Any) -> dict[str, Any]:
    hashes = {"0.weight.npy": {"sha256": weight}, "0.bias.npy": {"sha256": "b"}}
    return {"epoch": epoch, "step": 4 * epoch, "random_states": {"split": {"state": epoch}}, "files": hashes, **more}


def run(epochs: Steps | None = None, **changes: Any) -> Past:
    """A run of three epochs with nothing particular about it."""
    epochs = epochs or {epoch: {"val/loss": 1 / (epoch + 1), "val/accuracy": 0.5} for epoch in range(3)}
    fields: dict[str, Any] = {
        "shown": "here",
        "directory": Path("here"),
        "is_local": True,
        "is_tracked": False,
        "run_id": "r",
        "mlflow_run_id": None,
        "name": "n",
        "status": "FINISHED",
        "reason": None,
        "params": {},
        "overrides": (),
        "epochs": epochs,
        "updates": {},
        "summary": {"final/val_loss": 0.3, "best/epoch": 2.0},
        "manifests": {0: manifest(0), 2: manifest(2)},
        "circumstances": {},
        "data_hash": None,
        "commit": None,
    }
    return Past(**{**fields, **changes})


def verdict(old: Past, new: Past, *parts: PartChange) -> RunVerdict:
    return judge(old, new, compare_numbers(old, new, RTOL), compare_checkpoints(old, new), parts, RTOL)


def with_value(epoch: int, name: str, value: float) -> Past:
    epochs = {key: dict(values) for key, values in run().epochs.items()}
    epochs[epoch][name] = value
    return run(epochs)


def test_equal_runs_are_identical() -> None:
    numbers = compare_numbers(run(), run(), RTOL)
    assert (numbers.epochs, numbers.compared, numbers.unequal) == (3, 3 * 2 + 2, 0)
    assert verdict(run(), run()) is RunVerdict.IDENTICAL


@pytest.mark.parametrize(
    ("old", "new", "relative"),
    [
        (2.0, 1.0, 0.5),
        (1.0, 2.0, 0.5),
        (-1.0, 1.0, 2.0),
        (0.0, 1e-300, 1.0),
        (1.0, NAN, math.inf),
        (math.inf, 1.0, math.inf),
        (math.inf, -math.inf, math.inf),
        (None, 1.0, math.inf),
        (1.0, None, math.inf),
    ],
)
def test_the_relative_difference(old: float | None, new: float | None, relative: float) -> None:
    departure = Departure("val/loss", 1, old, new)
    assert departure.relative == relative
    assert departure.is_beyond(RTOL)
    assert Departure("val/accuracy", 1, old, new).is_beyond(RTOL) == (old is None or new is None)


@pytest.mark.parametrize(
    "name", ["train/loss", "val/loss", "train/objective", "penalty", "final/penalty", "update/loss"]
)
def test_the_tolerance_is_for_losses(name: str) -> None:
    assert Departure(name, 1, 1.0, 1.1).is_beyond(RTOL)
    assert not Departure(name, 1, 1.0, 1.0 + 1e-6).is_beyond(RTOL)


@pytest.mark.parametrize("name", ["val/accuracy", "lr", "grad_norm/0", "best/epoch"])
def test_other_numbers_do_not_decide(name: str) -> None:
    assert not Departure(name, 1, 1.0, 1.1).is_beyond(RTOL)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5 * (1 + 0.9e-5), RunVerdict.WITHIN_TOLERANCE),
        (0.5 * (1 + 1.2e-5), RunVerdict.DIFFERENT),
        (math.nextafter(0.5, 1), RunVerdict.WITHIN_TOLERANCE),
        (NAN, RunVerdict.DIFFERENT),
    ],
)
def test_a_loss_decides_by_its_relative_difference(value: float, expected: RunVerdict) -> None:
    assert verdict(run(), with_value(1, "val/loss", value)) is expected
    assert verdict(with_value(1, "val/loss", value), run()) is expected


def test_an_accuracy_makes_identical_within_tolerance() -> None:
    assert verdict(run(), with_value(1, "val/accuracy", 0.9)) is RunVerdict.WITHIN_TOLERANCE


def test_nan_equals_nan() -> None:
    assert verdict(with_value(1, "val/loss", NAN), with_value(1, "val/loss", NAN)) is RunVerdict.IDENTICAL


def test_the_first_and_the_largest_departure() -> None:
    new = run({0: {"val/loss": 1.0 + 1e-9, "val/accuracy": 0.4}, 1: {"val/loss": 0.6, "val/accuracy": 0.5},
               2: {"val/loss": 9.0, "val/accuracy": 0.5}})  # fmt: skip
    numbers = compare_numbers(run(), new, RTOL)
    assert numbers.unequal == 4
    assert numbers.first_unequal == Departure("val/loss", 0, 1.0, 1.0 + 1e-9)
    assert numbers.first_beyond == Departure("val/loss", 1, 0.5, 0.6)
    assert numbers.largest == Departure("val/loss", 2, 1 / 3, 9.0)
    assert compare_numbers(run(), with_value(0, "val/accuracy", 0.4), RTOL).largest == Departure(
        "val/accuracy", 0, 0.5, 0.4
    )


def test_what_only_one_run_has() -> None:
    longer = run({**run().epochs, 3: {"val/loss": 0.2}})
    assert verdict(run(), longer) is RunVerdict.DIFFERENT
    assert compare_numbers(run(), longer, RTOL).first_beyond == Departure("val/loss", 3, None, 0.2)
    assert verdict(longer, run()) is RunVerdict.DIFFERENT
    more = with_value(1, "train/objective", 0.4)
    assert verdict(more, run()) is RunVerdict.DIFFERENT  # recorded then, and not any more
    assert verdict(run(), more) is RunVerdict.IDENTICAL  # an old run knows nothing of new metrics
    assert compare_numbers(run(), more, RTOL).added == ("train/objective",)


def test_a_run_that_was_killed_is_compared_as_far_as_it_got() -> None:
    killed = run({0: run().epochs[0], 1: run().epochs[1]}, status="KILLED", summary={}, manifests={0: manifest(0)})
    assert verdict(killed, run()) is RunVerdict.IDENTICAL
    assert compare_numbers(killed, run(), RTOL).epochs == 2
    assert verdict(killed, with_value(1, "val/loss", 0.6)) is RunVerdict.DIFFERENT
    assert verdict(killed, with_value(2, "val/loss", 0.6)) is RunVerdict.IDENTICAL
    assert verdict(run(), killed) is RunVerdict.DIFFERENT


def test_a_run_that_failed_must_fail_again() -> None:
    reason = "epoch 2: NaN or Inf in layer 0, Linear(2 -> 2), weight"
    failed = run(status="FAILED", reason=reason, summary={}, manifests={0: manifest(0)})
    assert verdict(failed, failed) is RunVerdict.IDENTICAL
    assert verdict(failed, run(summary={}, manifests={0: manifest(0)})) is RunVerdict.DIFFERENT


def test_updates_count_where_both_have_them() -> None:
    old, new = (run(updates={3: {"update/loss": loss}}) for loss in (0.5, 0.7))
    assert verdict(old, run()) is RunVerdict.IDENTICAL
    assert verdict(old, new) is RunVerdict.DIFFERENT
    first = compare_numbers(old, new, RTOL).first_beyond
    assert first is not None
    assert first.place == "update 3"


@pytest.mark.parametrize(
    ("last", "unequal"),
    [
        (manifest(2, "other"), ("0.weight.npy",)),
        (manifest(2, random_states={}), ("random_states",)),
        (manifest(2, restored_epoch=0), ("restored_epoch",)),
        (manifest(2, config_hash="another"), ()),
        (manifest(2, files={"0.weight.npy": {"sha256": "a"}}), ("0.bias.npy",)),
    ],
)
def test_a_checkpoint_differs_by_its_arrays_and_its_state(last: dict[str, Any], unequal: tuple[str, ...]) -> None:
    old, new = run(manifests={0: manifest(0), 2: last}), run()
    found = compare_checkpoints(old, new)
    assert found.unequal == ({2: unequal} if unequal else {})
    assert found.final_equal is not bool(unequal)
    assert found.initial_equal is True
    assert verdict(old, new) is (RunVerdict.WITHIN_TOLERANCE if unequal else RunVerdict.IDENTICAL)


def test_other_networks_are_different_by_their_own_losses() -> None:
    old = run(manifests={0: manifest(0), 2: manifest(2, "other")})
    near = PartChange("val", 10, 0, (0.5, 0.5 + 1e-7), (1.0, 1.0))
    far = PartChange("val", 10, 3, (0.9, 0.5), (1.0, 0.7))
    assert verdict(old, run(), near) is RunVerdict.WITHIN_TOLERANCE
    assert verdict(old, run(), near, far) is RunVerdict.DIFFERENT


def test_checkpoints_that_only_one_run_has_say_nothing() -> None:
    found = compare_checkpoints(run(manifests={2: manifest(2)}), run())
    assert (found.compared, found.initial_equal, found.final_equal) == ((2,), None, True)
    found = compare_checkpoints(run(manifests={0: manifest(0, "other")}), run())
    assert (found.compared, found.initial_equal, found.final_equal) == ((0,), False, None)
