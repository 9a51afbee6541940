import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from nnlab.nn import MSE, CrossEntropy, Loss, Quadratic, count_correct
from tests.nn.numeric import one_hot


def cross_entropy(outputs: list[float], targets: list[float]) -> float:
    p = [math.exp(z) / sum(math.exp(other) for other in outputs) for z in outputs]
    return -sum(y * math.log(each) for y, each in zip(targets, p, strict=True))


def quadratic(outputs: list[float], targets: list[float]) -> float:
    return sum((a - y) ** 2 for a, y in zip(outputs, targets, strict=True)) / 2


def mse(outputs: list[float], targets: list[float]) -> float:
    return sum((a - y) ** 2 for a, y in zip(outputs, targets, strict=True)) / len(outputs)


Formula = Callable[[list[float], list[float]], float]
LOSSES: list[tuple[type[Loss], Formula]] = [(CrossEntropy, cross_entropy), (Quadratic, quadratic), (MSE, mse)]
each_loss = pytest.mark.parametrize("make", [CrossEntropy, Quadratic, MSE])


@pytest.mark.parametrize(("make", "formula"), LOSSES)
@given(replicas=st.sampled_from([1, 3]), classes=st.integers(1, 5), batch=st.integers(1, 5), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=25)
def test_value_is_the_mean_of_the_formula_over_the_batch(
    make: type[Loss], formula: Formula, replicas: int, classes: int, batch: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    outputs, targets = rng.normal(0, 3, (replicas, classes, batch)), one_hot(rng, replicas, classes, batch)
    expected = [
        sum(formula(outputs[r, :, n].tolist(), targets[r, :, n].tolist()) for n in range(batch)) / batch
        for r in range(replicas)
    ]
    values = make().forward(outputs, targets)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


def test_by_hand() -> None:
    outputs, targets = np.array([[[0.0, 3.0], [0.0, 1.0]]]), np.array([[[1.0, 0.0], [0.0, 1.0]]])
    assert CrossEntropy().forward(outputs, targets)[0] == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)
    assert Quadratic().forward(outputs, targets)[0] == (1 + 9) / 2 / 2
    assert MSE().forward(outputs, targets)[0] == (1 + 9) / 4


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e30), (np.float64, 1e300)])
def test_cross_entropy_of_huge_logits_does_not_overflow(dtype: DTypeLike, huge: float) -> None:
    outputs: NDArray[np.floating] = np.array([[[huge, huge], [-huge, 0]]], dtype)
    loss = CrossEntropy()
    right_and_wrong = np.array([[[1, 0], [0, 1]]], dtype)
    assert loss.forward(outputs, right_and_wrong)[0] == pytest.approx(huge / 2)
    np.testing.assert_array_equal(loss.backward(), [[[0, 0.5], [0, -0.5]]])


@each_loss
def test_outputs_and_targets_are_left_as_they_were(make: type[Loss]) -> None:
    rng, loss = np.random.default_rng(1), make()
    outputs, targets = rng.normal(size=(2, 3, 4)), one_hot(rng, 2, 3, 4)
    before = outputs.copy(), targets.copy()
    loss.forward(outputs, targets)
    loss.backward()
    np.testing.assert_array_equal(outputs, before[0])
    np.testing.assert_array_equal(targets, before[1])


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 2049, 20_000])
def test_a_stacks_values_are_those_of_lone_runs_to_the_bit(make: type[Loss], dtype: DTypeLike, batch: int) -> None:
    """Batches longer than NumPy's internal buffer of 8,192 numbers are among them."""
    rng = np.random.default_rng(2)
    outputs, targets = rng.normal(size=(5, 3, batch)).astype(dtype), one_hot(rng, 5, 3, batch).astype(dtype)
    stacked, lone = make(), make()
    values = stacked.forward(outputs, targets)
    gradients = stacked.backward()
    for r in range(5):
        assert lone.forward(outputs[r : r + 1].copy(), targets[r : r + 1].copy())[0] == values[r]
        np.testing.assert_array_equal(lone.backward()[0], gradients[r])


@pytest.mark.parametrize(
    ("make", "each"),
    [
        (CrossEntropy, np.log(np.float32(2))),
        (Quadratic, np.float32(0.1) * np.float32(0.1)),
        (MSE, np.float32(0.1) * np.float32(0.1)),
    ],
)
def test_long_float32_batches_are_summed_in_float64(make: type[Loss], each: np.float32) -> None:
    outputs = np.full((1, 2, 100_001), 0.1, np.float32)
    assert make().forward(outputs, np.zeros_like(outputs))[0] == pytest.approx(float(each), rel=1e-12)


def test_count_correct() -> None:
    outputs = np.array(
        [
            [[1.0, 0.0, 2.0, 5.0], [0.0, 3.0, 2.0, 6.0]],  # predicts 0 1 0 1: of equal outputs the first counts
            [[0.0, 9.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]],  # predicts 1 0 1 1
        ]
    )
    np.testing.assert_array_equal(count_correct(outputs, np.array([[0, 1, 0, 0]])), [3, 0])
    np.testing.assert_array_equal(count_correct(outputs, np.array([[0, 1, 0, 0], [1, 0, 0, 1]])), [3, 3])
