import functools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from nnlab.nn import MSE, CrossEntropy, Hinge, Loss, Quadratic, count_correct
from nnlab.nn.losses import Reduction
from tests.nn.numeric import central_differences, one_hot


def cross_entropy(outputs: list[float], targets: list[float]) -> float:
    p = [math.exp(z) / sum(math.exp(other) for other in outputs) for z in outputs]
    return -sum(y * math.log(each) for y, each in zip(targets, p, strict=True))


def quadratic(outputs: list[float], targets: list[float]) -> float:
    return sum((a - y) ** 2 for a, y in zip(outputs, targets, strict=True)) / 2


def mse(outputs: list[float], targets: list[float]) -> float:
    return sum((a - y) ** 2 for a, y in zip(outputs, targets, strict=True)) / len(outputs)


def smoothed(outputs: list[float], targets: list[float]) -> float:
    return cross_entropy(outputs, [0.7 * y + 0.3 / len(targets) for y in targets])


def hinge(margin: float) -> "Formula":
    def of_sample(outputs: list[float], targets: list[float]) -> float:
        label = targets.index(1)
        return sum(max(0, z - outputs[label] + margin) for k, z in enumerate(outputs) if k != label)

    return of_sample


Formula = Callable[[list[float], list[float]], float]
LOSSES: dict[str, tuple[Callable[..., Loss], Formula]] = {
    "cross_entropy": (CrossEntropy, cross_entropy),
    "label_smoothing": (functools.partial(CrossEntropy, label_smoothing=0.3), smoothed),
    "quadratic": (Quadratic, quadratic),
    "mse": (MSE, mse),
    "hinge": (Hinge, hinge(1)),
    "wide hinge": (functools.partial(Hinge, margin=2.5), hinge(2.5)),
}
each_loss = pytest.mark.parametrize("make", [make for make, _ in LOSSES.values()], ids=LOSSES)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
@given(replicas=st.sampled_from([1, 3]), classes=st.integers(1, 5), batch=st.integers(1, 5), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=25)
def test_value_is_the_formulas_mean_or_sum_over_the_batch_and_backward_its_derivative(
    name: str, reduction: Reduction, replicas: int, classes: int, batch: int, seed: int
) -> None:
    make, formula = LOSSES[name]
    rng = np.random.default_rng(seed)
    outputs, targets = rng.normal(0, 3, (replicas, classes, batch)), one_hot(rng, replicas, classes, batch)
    expected = [
        sum(formula(outputs[r, :, n].tolist(), targets[r, :, n].tolist()) for n in range(batch))
        for r in range(replicas)
    ]
    if reduction == "sum" and name == "mse":
        expected = [classes * value for value in expected]
    loss = make(reduction=reduction)
    values = loss.forward(outputs, targets)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, np.divide(expected, batch if reduction == "mean" else 1), rtol=1e-12, atol=1e-14)
    assert loss.samples(batch) == (batch if reduction == "mean" else 1)

    upstream = rng.uniform(0.5, 2, replicas)
    numeric = central_differences(
        lambda: float(make(reduction=reduction).forward(outputs, targets) @ upstream), outputs
    )
    np.testing.assert_allclose(loss.backward(upstream), numeric, atol=1e-7)


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
def test_outputs_and_targets_are_left_as_they_were(make: Callable[..., Loss]) -> None:
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
def test_a_stacks_values_are_those_of_lone_runs_to_the_bit(
    make: Callable[..., Loss], dtype: DTypeLike, batch: int
) -> None:
    """Batches longer than NumPy's internal buffer of 8,192 numbers are among them."""
    rng = np.random.default_rng(2)
    outputs, targets = rng.normal(size=(5, 3, batch)).astype(dtype), one_hot(rng, 5, 3, batch).astype(dtype)
    stacked, lone = make(), make()
    values = stacked.forward(outputs, targets)
    scale = rng.uniform(0.01, 1, 5)
    gradients = stacked.backward(scale)
    assert gradients.dtype == dtype
    for r in range(5):
        assert lone.forward(outputs[r : r + 1].copy(), targets[r : r + 1].copy())[0] == values[r]
        np.testing.assert_array_equal(lone.backward(scale[r : r + 1])[0], gradients[r])


@pytest.mark.parametrize(
    ("make", "each"),
    [
        (CrossEntropy, np.log(np.float32(2))),
        (Quadratic, np.float32(0.1) * np.float32(0.1)),
        (MSE, np.float32(0.1) * np.float32(0.1)),
    ],
)
def test_long_float32_batches_are_summed_in_float64(make: Callable[..., Loss], each: np.float32) -> None:
    outputs = np.full((1, 2, 100_001), 0.1, np.float32)
    assert make().forward(outputs, np.zeros_like(outputs))[0] == pytest.approx(float(each), rel=1e-12)


def test_extreme_logits_are_finite_and_right() -> None:
    outputs = np.array([[[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]]], np.float32)
    targets = np.array([[[1, 1, 1], [0, 0, 0]]], np.float32)
    assert CrossEntropy(reduction="sum").forward(outputs, targets)[0] == pytest.approx(0 + 2e4 + math.log(2))
    assert Hinge(reduction="sum").forward(outputs, targets)[0] == pytest.approx(0 + 20_001 + 1)
    assert Quadratic(reduction="sum").forward(outputs, targets)[0] == pytest.approx(2e8, rel=1e-3)
    for loss in (CrossEntropy(), CrossEntropy(label_smoothing=0.1), Hinge(), Quadratic(), MSE()):
        assert np.isfinite(loss.forward(outputs, targets)).all()
        assert np.isfinite(loss.backward()).all()


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (CrossEntropy, {"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0"),
        (CrossEntropy, {"label_smoothing": -0.1}, "label_smoothing must be at least 0 and below 1, got -0.1"),
        (Hinge, {"margin": 0.0}, "margin must be above 0, got 0.0"),
        (Quadratic, {"reduction": "max"}, "reduction must be mean or sum, got 'max'"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[..., Loss], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**settings)


def test_count_correct() -> None:
    outputs = np.array(
        [
            [[1.0, 0.0, 2.0, 5.0], [0.0, 3.0, 2.0, 6.0]],  # predicts 0 1 0 1: of equal outputs the first counts
            [[0.0, 9.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]],  # predicts 1 0 1 1
        ]
    )
    assert counted(outputs, [[0, 1, 0, 0]]) == [3, 0]
    assert counted(outputs, [[0, 1, 0, 0], [1, 0, 0, 1]]) == [3, 3]


@given(
    outputs=st.lists(
        st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan]), min_size=3, max_size=3), min_size=4, max_size=4),
        min_size=1,
        max_size=3,
    ),
    labels=st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
@settings(deadline=None)
def test_count_correct_of_ties_and_nans_is_the_same_in_a_stack(
    outputs: list[list[list[float]]], labels: list[int]
) -> None:
    stack = np.array(outputs).swapaxes(1, 2)
    assert counted(stack, [labels]) == [counted(stack[r : r + 1], [labels])[0] for r in range(len(stack))]
    assert counted(stack[:1], [labels])[0] == sum(
        int(np.argmax(o)) == y for o, y in zip(outputs[0], labels, strict=True)
    )


def test_a_tie_and_a_nan_do_not_cancel_out() -> None:
    outputs = np.array([[[1.0, math.nan], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert counted(outputs, [[1, 0]]) == [counted(outputs[:1], [[1, 0]])[0], 2]


def counted(outputs: NDArray[np.float64], labels: list[list[int]]) -> list[int]:
    targets = np.eye(outputs.shape[1])[np.array(labels)].swapaxes(1, 2)
    return [int(count) for count in count_correct(outputs, targets, np.array(labels))]
