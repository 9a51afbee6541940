"""Dropout: whose draws, how many are dropped, what becomes of the rest."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import Dropout, Sequential
from tests.nn.layers import check_stack_is_lone, seeds


def network(layer: Dropout, replicas: int = 1, dtype: str = "float64", seed: int = 0) -> Sequential:
    rngs = [np.random.default_rng([seed, replica]) for replica in range(replicas)]
    return Sequential([layer], replicas=replicas, dtype=dtype, rngs=rngs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shares_inputs", [False, True])
def test_each_replica_drops_where_its_own_generators_draws_are_below_p(dtype: str, shares_inputs: bool) -> None:
    layer = Dropout(0.25)
    stack, x = network(layer, 3, dtype), np.ones((1 if shares_inputs else 3, 4, 5), dtype)
    by_hand = [np.random.default_rng([0, replica]) for replica in range(3)]
    for _ in range(2):
        out, grad = stack.forward(x), stack.backward(np.full((3, 4, 5), 2, dtype), input_grad=True)
        assert grad is not None
        assert out.dtype == grad.dtype == dtype
        for replica, rng in enumerate(by_hand):
            kept = rng.random((4, 5), dtype=np.float32) >= 0.25
            np.testing.assert_allclose(out[replica], np.where(kept, 1 / 0.75, 0), rtol=1e-6)
            np.testing.assert_allclose(grad[replica], np.where(kept, 2 / 0.75, 0), rtol=1e-6)


@given(p=st.floats(0, 0.99), seed=seeds)
@settings(deadline=None, max_examples=20)
def test_both_dtypes_drop_the_same(p: float, seed: int) -> None:
    single, double = (
        network(Dropout(p), 2, dtype, seed).forward(np.ones((2, 3, 50), dtype)) for dtype in ("float32", "float64")
    )
    np.testing.assert_array_equal(single == 0, double == 0)
    np.testing.assert_allclose(single, double, rtol=1e-6)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_a_share_of_p_is_dropped_and_the_mean_stays(p: float) -> None:
    """6 standard deviations: 2 in 10^9 alarms would be false, and with fixed seeds none is by chance."""
    n = 400_000
    out = network(Dropout(p)).forward(np.full((1, 400, 1000), 3.0))
    dropped = np.mean(out == 0)
    assert abs(dropped - p) < 6 * math.sqrt(p * (1 - p) / n)
    assert abs(out.mean() - 3) < 6 * 3 * math.sqrt(p / (1 - p) / n)
    assert np.unique(out).tolist() == [0, pytest.approx(3 / (1 - p))]


def test_units_samples_steps_and_replicas_are_dropped_independently() -> None:
    stack, p, n = network(Dropout(0.5), 2), 0.5, 200_000
    x = np.ones((1, 200, 1000))
    first = stack.forward(x) > 0
    first, second = first.copy(), stack.forward(x) > 0
    pairs = [
        (first[0], first[1]),
        (first, second),
        (first[:, 1:], first[:, :-1]),
        (first[..., 1:], first[..., :-1]),
    ]
    for a, b in pairs:
        assert abs(np.mean(a & b) - p**2) < 6 * math.sqrt(p**2 * (1 - p**2) / n)


def test_evaluation_is_the_identity_and_draws_nothing() -> None:
    layer = Dropout(0.5)
    stack, x = network(layer), np.random.default_rng(1).normal(size=(1, 4, 5))
    stack.forward(x)
    stack.eval()
    grad = np.ones((1, 4, 5))
    assert stack.forward(x) is x
    assert stack.backward(grad, input_grad=True) is grad
    assert (grad == 1).all()
    stack.train()
    again = network(Dropout(0.5))
    again.forward(x)
    np.testing.assert_array_equal(stack.forward(x), again.forward(x))


def test_p_of_0_drops_nothing() -> None:
    x = np.ones((1, 4, 5))
    assert network(Dropout(0)).forward(x) is x


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(
    p=st.floats(0, 0.9),
    batch=st.integers(1, 9),
    dtype=st.sampled_from(["float32", "float64"]),
    shares=st.booleans(),
    seed=seeds,
)
@settings(deadline=None, max_examples=10)
def test_a_stack_is_its_lone_runs_bit_for_bit(
    replicas: int, p: float, batch: int, dtype: str, shares: bool, seed: int
) -> None:
    for sample in ((3,), (2, 3, 4)):
        check_stack_is_lone(lambda: Dropout(p), sample, replicas, batch, dtype, shares, seed)


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, math.nan])
def test_a_p_outside_of_0_to_1_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and below 1, got "):
        Dropout(p)


def test_without_generators_training_is_refused() -> None:
    with pytest.raises(ValueError, match="Dropout needs a generator for each of 2 replicas, got 0"):
        Sequential([Dropout(0.5)], replicas=2).forward(np.ones((2, 3, 4), np.float32))


def test_it_says_what_it_is() -> None:
    assert repr(Dropout(0.2)) == "Dropout(0.2)"
