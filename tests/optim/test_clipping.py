"""Gradient clipping, by hand and through an optimiser."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import Linear, Sequential
from nnlab.optim import SGD, Adam
from nnlab.optim.clipping import clip_norm, clip_value
from tests.optim.stepping import R, a_network, run


def test_by_value_by_hand() -> None:
    gradients = np.array([[3.0, -0.5, 0.0], [-3.0, 2.0, math.nan]])
    clip_value(gradients, 2.0)
    np.testing.assert_array_equal(gradients, [[2, -0.5, 0], [-2, 2, math.nan]])


def test_by_norm_by_hand() -> None:
    """Norms 5, 1 and 0; each replica by itself."""
    gradients = np.array([[3.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    clip_norm(gradients, 2.5, np.empty_like(gradients))
    np.testing.assert_allclose(gradients[0], np.array([3, 4]) * 2.5 / 5.000001, rtol=1e-14)
    np.testing.assert_array_equal(gradients[1:], [[0.6, 0.8], [0, 0]])


@given(seed=st.integers(0, 2**31), limit=st.floats(0.01, 10))
@settings(deadline=None, max_examples=25)
def test_the_norm_is_of_all_layers_of_one_replica(seed: int, limit: float) -> None:
    network = a_network()
    start = {name: view.copy() for name, view in network.views(network.parameters).items()}
    gradients = run(network, SGD(network, lr=1.0, clip_norm=limit), [1.0], seeds=[seed, seed + 1, seed + 2])[0]
    for replica in range(R):
        norm = math.sqrt(sum(float(g) ** 2 for view in gradients.values() for g in view[replica].flat))
        factor = min(1.0, limit / (norm + 1e-6))
        for name, view in network.views(network.parameters).items():
            expected = start[name][replica] - factor * gradients[name][replica]
            np.testing.assert_allclose(view[replica], expected, rtol=1e-12, atol=1e-13)


def test_value_comes_before_norm_and_both_before_weight_decay() -> None:
    network = Sequential([Linear(1, 1)], dtype=np.float64)
    weight, bias = network.state_dict().values()
    gradient = network.views(network.gradients)
    weight[...], bias[...] = 100, 0
    gradient["0.weight"][...], gradient["0.bias"][...] = 30, -4
    SGD(network, lr=1.0, weight_decay=0.5, clip_value=3.0, clip_norm=1.0).step()
    norm = math.hypot(3, 3) + 1e-6  # of 3 and -3
    assert weight.item() == pytest.approx(100 - (3 / norm + 0.5 * 100), rel=1e-14)
    assert bias.item() == pytest.approx(3 / norm, rel=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_replica_that_diverged_leaves_the_others_alone(dtype: Any) -> None:
    gradients = np.array([[math.nan, 1], [math.inf, 1], [30, 40], [0.1, 0.1]], dtype)
    with np.errstate(invalid="ignore"):
        clip_norm(gradients, 5.0, np.empty_like(gradients))
    assert np.isnan(gradients[0]).all()
    np.testing.assert_array_equal(gradients[1], [math.nan, 0])
    np.testing.assert_allclose(gradients[2], [3, 4], rtol=1e-6)
    np.testing.assert_array_equal(gradients[3], np.array([0.1, 0.1], dtype))
    alone = np.array([[math.nan, 1]], dtype)
    clip_norm(alone, 5.0, np.empty_like(alone))
    assert np.isnan(alone).all()


@pytest.mark.parametrize("name", ["clip_value", "clip_norm"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_limit_that_is_not_above_0_is_refused(name: str, value: float) -> None:
    for kind in (SGD, Adam):
        with pytest.raises(ValueError, match=f"{name} must be above 0, got {value}"):
            kind(a_network(), lr=0.1, **{name: value})  # type: ignore[arg-type]
