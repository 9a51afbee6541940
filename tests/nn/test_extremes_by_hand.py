"""Extreme inputs where a few numbers say it all: what training makes of them, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnlab.data.batches import Batches, Part
from nnlab.nn import BatchNorm1d, CrossEntropy, Identity, Linear, Quadratic, Sequential
from nnlab.nn.architectures import linear
from nnlab.optim import SGD, Adam
from nnlab.optim.schedules import constant
from nnlab.training import Plan, train
from tests.nn.test_extremes import fit
from tests.trajectories.networks import CLASSES


def test_one_class_is_learned_as_by_hand() -> None:
    """Softmax regression from 0 on one sample (1, 2) of class 0: p is 1/3 each, so W = lr (y - p) x^T."""
    network = Sequential(linear(2, CLASSES, Identity), dtype="float64")
    part = Part(np.array([[1.0, 2.0]]), np.array([0]), CLASSES, np.array([[0]]))
    optimizer = SGD(network, lr=0.3)
    batches = Batches(part, None, "sequential", [])
    results = list(train(network, CrossEntropy(), optimizer, [constant(1)], batches, Plan(1), {"val": part}))
    state = network.state_dict()
    np.testing.assert_allclose(state["0.weight"], [[0.2, 0.4], [-0.1, -0.2], [-0.1, -0.2]], atol=1e-15)
    np.testing.assert_allclose(state["0.bias"], [0.2, -0.1, -0.1], atol=1e-15)
    # The logits are 0.2 + 1.0 and twice -0.1 - 0.5: the loss is log(1 + 2 exp(-1.8)).
    assert [result.metrics["val/loss"][0] for result in results] == pytest.approx(
        [math.log(3), math.log(1 + 2 * math.exp(-1.8))], rel=1e-14
    )


def test_a_constant_feature_learns_what_the_bias_learns() -> None:
    """A feature that is 1 throughout is a second bias: from 0, its weights equal the bias after every update."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(CLASSES, size=20)
    x[:, 1] = 1.0
    network = Sequential(linear(3, CLASSES, Identity), dtype="float64")
    fit(network, CrossEntropy(), x, y, batch_size=7)
    state = network.state_dict()
    np.testing.assert_allclose(state["0.weight"][:, 1], state["0.bias"], atol=1e-15)
    assert np.abs(state["0.bias"]).max() > 1e-4


def test_adam_on_a_feature_that_is_always_0_leaves_its_weights_alone() -> None:
    rng = np.random.default_rng(0)
    part = Part(rng.normal(size=(20, 3)) * [1, 0, 1], rng.integers(CLASSES, size=20), CLASSES, np.arange(20)[None])
    network = Sequential(linear(3, CLASSES, Identity), dtype="float64")
    network.parameters[...] = 0.25
    batches = Batches(part, 6, "sequential", [])
    list(train(network, CrossEntropy(), Adam(network, lr=0.01), [constant(1)], batches, Plan(2), {"val": part}))
    weight = network.state_dict()["0.weight"]
    np.testing.assert_array_equal(weight[:, 1], 0.25)
    assert (weight[:, [0, 2]] != 0.25).all()


def test_batch_norm_of_one_sample_gives_its_bias_and_no_gradient() -> None:
    """By hand: the sample is its own mean, so the layer gives its bias, and the Linear layer in front learns nothing.

    With quadratic cost, bias (0.5, -0.5) and target (1, 0), dC/dbias is (-0.5, -0.5): the bias becomes (0.55, -0.45).
    """
    network = Sequential([Linear(2, 2), BatchNorm1d(2)], dtype="float64")
    state = network.state_dict()
    state["0.weight"][...], state["1.bias"][...] = [[1, 2], [3, 4]], [0.5, -0.5]
    part = Part(np.array([[5.0, 6.0]]), np.array([0]), 2, np.array([[0]]))
    batches = Batches(part, None, "sequential", [])
    list(train(network, Quadratic(), SGD(network, lr=0.1), [constant(1)], batches, Plan(1), {}))
    np.testing.assert_allclose(state["1.bias"], [0.55, -0.45], rtol=1e-15)
    np.testing.assert_array_equal(state["1.weight"], [1, 1])
    np.testing.assert_array_equal(state["0.weight"], [[1, 2], [3, 4]])
    np.testing.assert_allclose(state["1.running_mean"], [1.7, 3.9], rtol=1e-14)
    np.testing.assert_array_equal(state["1.running_var"], [1, 1])
