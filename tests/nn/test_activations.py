import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from nnlab.nn import Identity, Module, ReLU, Sigmoid, Tanh

FORMULAS: list[tuple[Callable[[], Module], Callable[[float], float]]] = [
    (Identity, lambda z: z),
    (Sigmoid, lambda z: 1 / (1 + math.exp(-z))),
    (Tanh, lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z))),
    (ReLU, lambda z: z if z > 0 else 0.0),
]


@pytest.mark.parametrize(("make", "formula"), FORMULAS)
@given(values=st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=1, max_size=8))
@settings(deadline=None, max_examples=25)
def test_forward_is_the_formula(make: type[Module], formula: Callable[[float], float], values: list[float]) -> None:
    a = make().forward(np.array(values)[None, None])
    np.testing.assert_allclose(a[0, 0], [formula(z) for z in values], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("derivative", [0, 1])
def test_relus_derivative_at_zero(derivative: int) -> None:
    layer = ReLU(derivative_at_zero=1) if derivative else ReLU(derivative_at_zero=0)
    z = np.array([[[-2.0, -0.0, 0.0, 3.0]]])
    np.testing.assert_array_equal(layer.forward(z), [[[0, 0, 0, 3]]])
    grad = layer.backward(np.array([[[5.0, 6.0, 7.0, 8.0]]]))
    np.testing.assert_array_equal(grad, [[[0, 6 * derivative, 7 * derivative, 8]]])


def test_relus_derivative_at_zero_is_0_unless_asked() -> None:
    layer = ReLU()
    layer.forward(np.zeros((1, 1, 1)))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1))), [[[0]]])


@pytest.mark.parametrize("derivative", [-1, 0.5, 2])
def test_relu_refuses_another_derivative_at_zero(derivative: float) -> None:
    with pytest.raises(ValueError, match=f"derivative_at_zero must be 0 or 1, got {derivative}"):
        ReLU(derivative_at_zero=derivative)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_sigmoid_and_tanh_reach_their_limits_without_a_warning(dtype: DTypeLike) -> None:
    z: NDArray[np.floating] = np.array([[[-1e30, -800, 0, 800, 1e30]]], dtype)
    np.testing.assert_array_equal(Sigmoid().forward(z), [[[0, 0, 0.5, 1, 1]]])
    np.testing.assert_array_equal(Tanh().forward(z), [[[-1, -1, 0, 1, 1]]])


@pytest.mark.parametrize("make", [Identity, Sigmoid, Tanh, ReLU])
def test_nan_stays_nan_so_that_divergence_shows(make: Callable[[], Module]) -> None:
    assert np.isnan(make().forward(np.array([[[np.nan]]]))).all()


@pytest.mark.parametrize("make", [Identity, Sigmoid, Tanh, ReLU])
def test_inputs_are_left_as_they_were_and_the_dtype_stays(make: Callable[[], Module]) -> None:
    z = np.array([[[-1.5, 2.5]]], np.float32)
    layer = make()
    assert layer.forward(z).dtype == np.float32
    gradient = layer.backward(np.ones_like(z))
    assert gradient is not None
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(z, [[[-1.5, 2.5]]])


@pytest.mark.parametrize("make", [Identity, Sigmoid, Tanh, ReLU])
def test_no_input_gradient_unless_wanted(make: Callable[[], Module]) -> None:
    layer, grad = make(), np.ones((1, 1, 2))
    layer.forward(np.array([[[0.5, -0.5]]]))
    assert layer.backward(grad, input_grad=False) is None
    np.testing.assert_array_equal(grad, 1)
