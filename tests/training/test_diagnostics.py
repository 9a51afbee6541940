"""Diagnostics against what one computes by hand from the parameters before and after an update."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Part
from nnlab.nn import CrossEntropy, Linear, ReLU, Sequential
from nnlab.optim import SGD, Adam
from nnlab.optim.schedules import constant
from nnlab.training import Diagnostic, Diagnostics, EpochResult, Plan, train

ALL: Sequence[Diagnostic] = ("grad_norm", "weight_norm", "update_ratio", "dead_relu")
NUMBERS = np.random.default_rng(5)
X, Y = NUMBERS.normal(size=(12, 3)), NUMBERS.integers(3, size=12)


def run(
    kinds: Sequence[Diagnostic], optimizer: Any = SGD, replicas: int = 1, epochs: int = 1, **settings: Any
) -> tuple[list[EpochResult], list[NDArray[Any]], Sequential]:
    """Train with full batches; return the results and the parameters before the first update and after each."""
    network = Sequential([Linear(3, 4), ReLU(), Linear(4, 3)], replicas=replicas, dtype=np.float64)
    for replica in range(replicas):
        rng = np.random.default_rng(replica)
        network.initialize(replica, rng, *[lambda rng, shape: rng.normal(0, 1, shape)] * 2)
    network.state_dict()["0.bias"][2] = -100  # a dead unit
    part = Part(X, Y, 3, np.tile(np.arange(12), (replicas, 1)))
    batches = Batches(part, None, "sequential", [])
    watched = Diagnostics(kinds, network, part)
    results, states = [], []
    sgd = optimizer(network, lr=0.1, **settings)
    for result in train(
        network, CrossEntropy(), sgd, [constant(1)] * replicas, batches, Plan(epochs), {}, diagnostics=watched
    ):
        results.append(result)
        states.append(network.parameters.copy())
    return results, states, network


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}], ids=["lr folded into the gradient", "not folded"])
def test_norms_ratio_and_gradient(settings: dict[str, Any]) -> None:
    results, (before, after), network = run(ALL, **settings)
    old, new = network.views(before), network.views(after)
    for position in "02":
        weight, bias = f"{position}.weight", f"{position}.bias"
        # One update of SGD: the gradient is what the parameters moved by, over lr.
        gradient = np.concatenate([(old[name] - new[name]).ravel() / 0.1 for name in (weight, bias)])
        expected = {
            f"grad_norm/{position}": np.linalg.norm(gradient),
            f"weight_norm/{position}": np.linalg.norm(new[weight]),
            f"update_ratio/{position}": np.linalg.norm(new[weight] - old[weight]) / np.linalg.norm(old[weight]),
        }
        for name, value in expected.items():
            assert results[1].metrics[name][0] == pytest.approx(value, rel=1e-9), name
    hidden = np.maximum(X @ new["0.weight"][0].T + new["0.bias"][0], 0)
    assert results[1].metrics["dead_relu/1"][0] == np.mean(~hidden.any(axis=0)) >= 0.25


def test_epoch_0_has_none_and_only_what_was_asked_for_is_there() -> None:
    results, _, _ = run(["weight_norm"])
    assert results[0].metrics == {}
    assert {name for name in results[1].metrics if "_" in name} - {"time/train_seconds"} == {
        "weight_norm/0",
        "weight_norm/2",
    }


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_they_leave_the_training_as_it_is(optimizer: Any) -> None:
    with_them, without = run(ALL, optimizer, epochs=4), run((), optimizer, epochs=4)
    for one, other in zip(with_them[1], without[1], strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_stack_has_its_lone_runs_values_to_the_bit() -> None:
    results, _, _ = run(ALL, replicas=7, epochs=2)
    lone, _, _ = run(ALL, epochs=2)
    for name, values in lone[2].metrics.items():
        if not name.startswith("time/"):
            assert values[0] == results[2].metrics[name][0], name


def test_an_unknown_one_is_refused() -> None:
    message = "there is no diagnostic 'grad'; choose from grad_norm, weight_norm, update_ratio, dead_relu"
    with pytest.raises(ValueError, match=re.escape(message)):
        run(["grad"])  # type: ignore[list-item]
