"""Extreme inputs: huge logits, a single class, a single sample, a last batch of one, constant features.

Every architecture, loss and activation stays finite, and what comes out is right: by hand, or by a loop over samples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Part
from nnlab.nn import CrossEntropy, Hinge, Identity, Loss, Sequential
from nnlab.nn.architectures import linear
from nnlab.optim import SGD
from nnlab.optim.schedules import constant
from nnlab.training import EpochResult, Plan, train
from tests.trajectories import replay
from tests.trajectories.cases import ACTIVATIONS, LOSSES, Case
from tests.trajectories.networks import CLASSES, NETWORKS

EPOCHS = 3

CASES = [
    *(Case(activation=name) for name in ACTIVATIONS),
    *(Case(loss=name) for name in LOSSES),
    *(Case(network, activation) for network in NETWORKS for activation in ("relu", "tanh", "softplus")),
]

every_case = pytest.mark.parametrize("case", CASES, ids="-".join)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def fit(
    network: Sequential, loss: Loss, x: NDArray[Any], y: NDArray[np.int64], batch_size: int | None, lr: float = 0.05
) -> list[EpochResult]:
    """Train on all samples, in their own order."""
    part = Part(x.astype(network.dtype), y, CLASSES, np.arange(len(y))[None])
    batches = Batches(part, batch_size, "sequential", [])
    optimizer = SGD(network, lr=lr)
    return list(train(network, loss, optimizer, [constant(1)], batches, Plan(EPOCHS), {"val": part}))


def fresh(case: Case, dtype: str) -> Sequential:
    network = Sequential(replay.layers_of(case), dtype=dtype, rngs=[np.random.default_rng(1)])
    network.initialize(
        0, np.random.default_rng(2), lambda rng, s: rng.normal(0, 0.3, s), lambda rng, s: rng.normal(0, 0.1, s)
    )
    return network


def assert_fine(network: Sequential, results: list[EpochResult]) -> None:
    """Nothing failed, every number is finite, and something was learned."""
    assert len(results) == EPOCHS + 1
    assert not any(result.failed for result in results)
    for result in results:
        assert all(np.isfinite(values).all() for values in result.metrics.values())
    assert network.first_nonfinite(0) is None


def points(case: Case, samples: int, scale: float = 1.0) -> NDArray[np.float64]:
    return np.random.default_rng(3).normal(0, scale, (samples, NETWORKS[case.network].in_features))


def is_apart(case: Case) -> bool:
    """Whether what a sample gives depends on it and the weights alone."""
    return not any(str(layer[0]).startswith(("BatchNorm", "Dropout")) for layer in NETWORKS[case.network].layers)


def sample_by_sample(network: Sequential, loss: Loss, x: NDArray[Any], y: NDArray[np.int64], size: int) -> None:
    """What ``fit`` does, with the gradient of each sample taken for itself."""
    for _ in range(EPOCHS):
        for start in range(0, len(y), size):
            total = np.zeros_like(network.gradients)
            for sample, label in zip(x[start : start + size], y[start : start + size], strict=True):
                loss.forward(network.forward(sample[None, :, None]), np.eye(CLASSES)[label][None, :, None])
                network.backward(loss.backward())
                total += network.gradients
            count = len(y[start : start + size]) if loss.reduction == "mean" else 1
            network.parameters -= 0.05 * total / count


@every_dtype
@every_case
def test_a_last_batch_of_one_sample(case: Case, dtype: str) -> None:
    network, x, y = fresh(case, dtype), points(case, 9), np.arange(9) % CLASSES
    results = fit(network, replay.loss_of(case), x, y, batch_size=4)
    assert results[-1].step == 3 * EPOCHS
    assert_fine(network, results)
    if is_apart(case) and dtype == "float64":
        reference = fresh(case, dtype)
        sample_by_sample(reference, replay.loss_of(case), x, y, 4)
        np.testing.assert_allclose(network.parameters, reference.parameters, rtol=0, atol=1e-12)


@every_dtype
@every_case
def test_a_single_sample(case: Case, dtype: str) -> None:
    network = fresh(case, dtype)
    results = fit(network, replay.loss_of(case), points(case, 1), np.array([1]), batch_size=None)
    assert_fine(network, results)
    losses = [result.metrics["val/loss"][0] for result in results]
    if is_apart(case):
        assert losses[-1] < losses[0] or losses[0] == 0


@every_dtype
@every_case
def test_a_single_class(case: Case, dtype: str) -> None:
    network = fresh(case, dtype)
    results = fit(network, replay.loss_of(case), points(case, 12), np.full(12, 2), batch_size=5)
    assert_fine(network, results)
    assert results[-1].metrics["val/loss"][0] <= results[0].metrics["val/loss"][0]


@every_dtype
@every_case
def test_constant_features(case: Case, dtype: str) -> None:
    """Some of them, or all, or all 0 as standardisation leaves them."""
    x = points(case, 12)
    x[:, ::2] = 7.0
    for constant_x in (x, np.zeros_like(x), np.full_like(x, -3.0)):
        network = fresh(case, dtype)
        results = fit(network, replay.loss_of(case), constant_x, np.arange(12) % CLASSES, batch_size=5, lr=0.01)
        assert_fine(network, results)


@every_dtype
@pytest.mark.parametrize("loss", LOSSES)
def test_logits_of_ten_thousand(loss: str, dtype: str) -> None:
    """A network that passes its inputs on: the losses by hand, sample by sample, and one update."""
    logits = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4 - 1, 0.0]])
    labels = np.array([1, 0, 2, 1])
    network = Sequential(linear(3, CLASSES, Identity), dtype=dtype)
    network.state_dict()["0.weight"][...] = np.eye(3)
    choice, settings = LOSSES[loss]
    expected = [by_hand(choice, settings, row.tolist(), int(label)) for row, label in zip(logits, labels, strict=True)]
    results = fit(network, replay.loss_of(Case(loss=loss)), logits, labels, batch_size=None, lr=1e-12)
    assert results[0].metrics["val/loss"][0] == pytest.approx(math.fsum(expected) / 4, rel=1e-6)
    assert_fine(network, results)


def by_hand(choice: str, settings: dict[str, Any], scores: list[float], label: int) -> float:
    """The loss of one sample, its mean taken over samples whatever the reduction."""
    if choice == "cross_entropy":
        share = settings.get("label_smoothing", 0.0)
        largest = max(scores)
        log_sum = largest + math.log(math.fsum(math.exp(score - largest) for score in scores))
        targets = [share / 3 + (1 - share) * (k == label) for k in range(3)]
        return math.fsum(target * (log_sum - score) for target, score in zip(targets, scores, strict=True))
    if choice == "hinge":
        margin = settings.get("margin", 1.0)
        return math.fsum(max(0.0, s - scores[label] + margin) for k, s in enumerate(scores) if k != label)
    squares = math.fsum((score - (k == label)) ** 2 for k, score in enumerate(scores))
    per_sample = {"quadratic": 1 / 2, "mse": 1 if settings.get("reduction") == "sum" else 1 / 3}
    return squares * per_sample[choice]


@every_dtype
def test_the_gradient_at_huge_logits_is_the_probabilities_less_the_target(dtype: str) -> None:
    loss = CrossEntropy()
    outputs = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, -1e4]], dtype).T[None].copy()
    loss.forward(outputs, np.eye(3, dtype=dtype)[[1, 0]].T[None].copy())
    np.testing.assert_allclose(loss.backward()[0].T, [[0.5, -0.5, 0], [-0.25, 0.25, 0]], atol=1e-7)
    hinge = Hinge()
    hinge.forward(outputs, np.eye(3, dtype=dtype)[[1, 0]].T[None].copy())
    np.testing.assert_allclose(hinge.backward()[0].T, [[0.5, -1, 0.5], [-0.5, 0.5, 0]])


@every_dtype
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_huge_inputs_pass_every_activation(activation: str, dtype: str) -> None:
    """Inputs of up to +-1e4 and a tiny learning rate: finite losses and weights."""
    case = Case(activation=activation)
    network = fresh(case, dtype)
    results = fit(network, CrossEntropy(), points(case, 12, scale=1e4), np.arange(12) % CLASSES, 5, lr=1e-9)
    assert_fine(network, results)
