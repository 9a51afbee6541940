"""How activations behave as layers: buffers, shapes, dtypes, bits, refusals (formulas: test_activation_formulas)."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from nnlab.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from nnlab.nn.module import Module
from nnlab.nn.smooth_activations import ELU, GELU, Softplus
from tests.nn.activation_cases import CASES

every_activation = pytest.mark.parametrize("make", [case.make for case in CASES.values()], ids=list(CASES))
MakeModule = Callable[[], Module]


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


@pytest.mark.parametrize("slope", [-0.1, 1.5, math.nan])
def test_leaky_relu_refuses_a_slope_outside_0_to_1(slope: float) -> None:
    with pytest.raises(ValueError, match=f"negative_slope must be between 0 and 1, got {slope}"):
        LeakyReLU(negative_slope=slope)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_leaky_relus_slope_may_be_0_or_1(slope: float) -> None:
    layer = LeakyReLU(negative_slope=slope)
    np.testing.assert_array_equal(layer.forward(np.array([[[-2.0, 3.0]]])), [[[-2 * slope, 3]]])
    np.testing.assert_array_equal(layer.backward(np.array([[[5.0, 7.0]]])), [[[5 * slope, 7]]])


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_elu_and_softplus_refuse_bad_constants(value: float) -> None:
    with pytest.raises(ValueError, match=f"alpha must be at least 0 and finite, got {value}"):
        ELU(alpha=value)
    with pytest.raises(ValueError, match=f"beta must be above 0 and finite, got {value}"):
        Softplus(beta=value)
    with pytest.raises(ValueError, match="beta must be above 0 and finite, got 0"):
        Softplus(beta=0.0)


def test_gelu_refuses_another_approximation() -> None:
    with pytest.raises(ValueError, match="approximate must be none or tanh, got sigmoid"):
        GELU(approximate="sigmoid")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_very_far_out_sigmoid_and_tanh_reach_their_limits_without_a_warning(dtype: DTypeLike) -> None:
    z: NDArray[np.floating] = np.array([[[-1e30, -800, 0, 800, 1e30]]], dtype)
    np.testing.assert_array_equal(Sigmoid().forward(z), [[[0, 0, 0.5, 1, 1]]])
    np.testing.assert_array_equal(Tanh().forward(z), [[[-1, -1, 0, 1, 1]]])


@every_activation
def test_nan_stays_nan_so_that_divergence_shows(make: MakeModule) -> None:
    assert np.isnan(make().forward(np.array([[[np.nan]]]))).all()


@every_activation
def test_inputs_are_left_as_they_were_and_the_dtype_stays(make: MakeModule) -> None:
    z = np.array([[[-1.5, 2.5]]], np.float32)
    layer = make()
    assert layer.forward(z).dtype == np.float32
    gradient = layer.backward(np.ones_like(z))
    assert gradient is not None
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(z, [[[-1.5, 2.5]]])


@every_activation
def test_no_input_gradient_unless_wanted(make: MakeModule) -> None:
    layer, grad = make(), np.ones((1, 1, 2))
    layer.forward(np.array([[[0.5, -0.5]]]))
    assert layer.backward(grad, input_grad=False) is None
    np.testing.assert_array_equal(grad, 1)


@every_activation
def test_the_gradient_is_multiplied_in_place_and_buffers_are_reused(make: MakeModule) -> None:
    layer, rng = make(), np.random.default_rng(0)
    z = rng.normal(size=(2, 3, 4))
    first = layer.forward(z)
    slope = np.ones_like(z)
    layer.backward(slope)
    grad = rng.normal(size=z.shape)
    expected = grad * slope
    assert layer.forward(z) is first
    assert layer.backward(grad) is grad
    np.testing.assert_allclose(grad, expected, rtol=1e-14)


@every_activation
def test_a_smaller_last_batch_and_back(make: MakeModule) -> None:
    layer, rng = make(), np.random.default_rng(0)
    for batch in (5, 2, 5):
        z, grad = rng.normal(size=(2, 3, batch)), rng.normal(size=(2, 3, batch))
        fresh = make()
        np.testing.assert_array_equal(layer.forward(z), fresh.forward(z))
        np.testing.assert_array_equal(layer.backward(grad.copy()), fresh.backward(grad.copy()))


@every_activation
def test_replicas_that_share_their_inputs(make: MakeModule) -> None:
    rng, shared, own = np.random.default_rng(0), make(), make()
    z, grad = rng.normal(size=(1, 3, 4)), rng.normal(size=(5, 3, 4))
    np.testing.assert_array_equal(shared.forward(z)[0], own.forward(z.repeat(5, axis=0))[3])
    np.testing.assert_array_equal(shared.backward(grad.copy()), own.backward(grad.copy()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_activation
def test_a_numbers_place_in_the_array_does_not_show_in_its_bits(make: MakeModule, dtype: DTypeLike) -> None:
    """Alone, in images, after 0 to 33 others (SIMD registers hold 16), beyond a block of erfc, or not contiguous."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, 4, 61), [0.0, -0.0, 30.0, -30.0]]).astype(dtype)
    upstream = rng.normal(size=z.shape).astype(dtype)

    def bits(z: NDArray[np.floating], grad: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
        layer = make()
        a, delta = layer.forward(z).copy(), layer.backward(grad.copy())
        assert delta is not None
        return a, delta

    lone = [bits(z[n].reshape(1, 1, 1), upstream[n].reshape(1, 1, 1)) for n in range(z.size)]
    a, delta = (np.array([each[kind] for each in lone]).ravel() for kind in (0, 1))
    for ahead in (*range(34), 32_768 - 20):
        padded = [np.concatenate([np.ones(ahead, dtype), values])[None, None] for values in (z, upstream)]
        a_padded, delta_padded = bits(padded[0], padded[1])
        assert a_padded[0, 0, ahead:].tobytes() == a.tobytes()
        assert delta_padded[0, 0, ahead:].tobytes() == delta.tobytes()
    images = bits(z.reshape(1, 1, 5, 13, 1), upstream.reshape(1, 1, 5, 13, 1))
    assert [each.tobytes() for each in images] == [a.tobytes(), delta.tobytes()]
    strided = bits(z.reshape(1, 5, 13).swapaxes(1, 2), upstream.reshape(1, 5, 13).swapaxes(1, 2))
    assert [each.swapaxes(1, 2).tobytes() for each in strided] == [a.tobytes(), delta.tobytes()]
