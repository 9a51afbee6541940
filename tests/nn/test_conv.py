"""Conv2d against the formula a sample and a pixel at a time, central differences, and lone runs."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import Conv2d
from nnlab.nn.module import Array
from tests.nn.layers import check_derivatives, check_stack_is_lone, in_a_stack, replica_counts, seeds
from tests.nn.numeric import Float

cheap = settings(deadline=None, max_examples=30)
dtypes = st.sampled_from(["float32", "float64"])


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """Kernel size, stride, padding, height and width that fit together."""
    kernel_size, stride, padding = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(0, 2))
    smallest = max(1, kernel_size - 2 * padding)
    height, width = (draw(st.integers(smallest, smallest + 4)) for _ in range(2))
    return kernel_size, stride, padding, height, width


def by_formula(x: Float, weight: Array, bias: Array, stride: int, padding: int) -> Float:
    """One sample: z[o, h, w] = b[o] + sum of W[o, c, i, j] x[c, h s + i - p, w s + j - p]."""
    size = weight.shape[2]
    height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[1:])
    z = np.empty((len(weight), height, width))
    for o, h, w in np.ndindex(z.shape):
        z[o, h, w] = bias[o]
        for c, i, j in np.ndindex(weight.shape[1:]):
            row, column = h * stride + i - padding, w * stride + j - padding
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                z[o, h, w] += weight[o, c, i, j] * x[c, row, column]
    return z


@given(
    geometry=geometries(),
    channels=st.integers(1, 3),
    filters=st.integers(1, 3),
    batch=st.integers(1, 3),
    replicas=replica_counts,
    shares_inputs=st.booleans(),
    seed=seeds,
)
@cheap
def test_forward_is_the_formula(
    geometry: tuple[int, int, int, int, int],
    channels: int,
    filters: int,
    batch: int,
    replicas: int,
    shares_inputs: bool,
    seed: int,
) -> None:
    kernel_size, stride, padding, height, width = geometry
    rng, layer = np.random.default_rng(seed), Conv2d(channels, filters, kernel_size, stride, padding)
    network = in_a_stack(layer, replicas, rng)
    x = rng.normal(size=(1 if shares_inputs else replicas, channels, height, width, batch))
    z = network.forward(x)
    for replica, sample in np.ndindex(replicas, batch):
        image = x[0 if shares_inputs else replica, ..., sample]
        expected = by_formula(image, layer.weight[replica], layer.bias[replica], stride, padding)
        np.testing.assert_allclose(z[replica, ..., sample], expected, atol=1e-12)


@given(
    geometry=geometries(),
    channels=st.integers(1, 2),
    filters=st.integers(1, 3),
    batch=st.integers(1, 2),
    replicas=replica_counts,
    shares_inputs=st.booleans(),
    seed=seeds,
)
@cheap
def test_backward_is_central_differences(
    geometry: tuple[int, int, int, int, int],
    channels: int,
    filters: int,
    batch: int,
    replicas: int,
    shares_inputs: bool,
    seed: int,
) -> None:
    kernel_size, stride, padding, height, width = geometry
    rng, layer = np.random.default_rng(seed), Conv2d(channels, filters, kernel_size, stride, padding)
    x = rng.normal(size=(1 if shares_inputs else replicas, channels, height, width, batch))
    check_derivatives(in_a_stack(layer, replicas, rng), x, rng)


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(
    geometry=geometries(),
    filters=st.sampled_from([1, 2, 7]),
    batch=st.sampled_from([1, 5, 16]),
    dtype=dtypes,
    shares_inputs=st.booleans(),
    seed=seeds,
)
@settings(deadline=None, max_examples=8)
def test_a_stack_is_its_lone_runs_bit_for_bit(
    replicas: int,
    geometry: tuple[int, int, int, int, int],
    filters: int,
    batch: int,
    dtype: str,
    shares_inputs: bool,
    seed: int,
) -> None:
    *settings_, height, width = geometry
    check_stack_is_lone(
        lambda: Conv2d(2, filters, *settings_), (2, height, width), replicas, batch, dtype, shares_inputs, seed
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "filters", "batch"),
    [(6, 16, 64), (6, 16, 300), (32, 48, 32), (32, 48, 300)],
    ids=["small", "a batch in parts", "large products", "large products of a batch in parts"],
)
def test_the_same_when_blas_gets_work_of_other_sizes(channels: int, filters: int, batch: int, dtype: str) -> None:
    """One contraction over all windows is the witness: an algorithm with nothing in common with the layer's."""
    rng, layer = np.random.default_rng(0), Conv2d(channels, filters, 3, stride=2, padding=1)
    network = in_a_stack(layer, 2, rng, dtype)
    x = rng.normal(size=(2, channels, 7, 8, batch)).astype(dtype)
    z = network.forward(x)
    upstream = rng.normal(size=z.shape).astype(dtype)
    grad_x = network.backward(upstream.copy(), input_grad=True)
    assert grad_x is not None
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    expected = np.einsum("rocij,rchwbij->rohwb", weight, windows, optimize=True) + bias[:, :, None, None, None]
    expected_weight_grad = np.einsum("rohwb,rchwbij->rocij", upstream.astype(np.float64), windows, optimize=True)
    shares = np.einsum("rocij,rohwb->rcijhwb", weight, upstream.astype(np.float64), optimize=True)
    expected_grad_x = np.zeros(padded.shape)
    for i, j in np.ndindex(3, 3):
        expected_grad_x[:, :, i : i + 7 : 2, j : j + 7 : 2] += shares[:, :, i, j]
    rtol, atol = {"float32": (1e-4, 1e-3), "float64": (1e-11, 1e-11)}[dtype]
    for found, wanted in [
        (z, expected),
        (layer.weight_grad, expected_weight_grad),
        (layer.bias_grad, upstream.astype(np.float64).sum(axis=(2, 3, 4))),
        (grad_x, expected_grad_x[:, :, 1:-1, 1:-1]),
    ]:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=atol)


@given(batch=st.sampled_from([1, 300]), dtype=dtypes, seed=seeds)
@settings(deadline=None, max_examples=4)
def test_a_stack_is_its_lone_runs_where_work_is_cut_into_parts(batch: int, dtype: str, seed: int) -> None:
    check_stack_is_lone(lambda: Conv2d(6, 16, 5, padding=1), (6, 9, 8), 3, batch, dtype, False, seed)


def test_what_forward_gave_is_not_kept_from_another_batch_size() -> None:
    rng, layer = np.random.default_rng(0), Conv2d(1, 2, 3, padding=1)
    network = in_a_stack(layer, 1, rng)
    xs = [rng.normal(size=(1, 1, 4, 4, batch)) for batch in (3, 2, 3)]
    outputs = [network.forward(x).copy() for x in xs]
    for x, z in zip(xs, outputs, strict=True):
        np.testing.assert_array_equal(network.forward(x), z)


def test_a_gradient_that_is_a_view_is_taken_as_it_is() -> None:
    rng, layer = np.random.default_rng(0), Conv2d(1, 2, 2)
    network = in_a_stack(layer, 1, rng)
    x, wide = rng.normal(size=(1, 1, 4, 4, 3)), rng.normal(size=(1, 2, 5, 5, 3))
    network.forward(x)
    network.backward(wide[:, :, 1:4, 1:4])
    from_view = network.gradients.copy()
    network.backward(wide[:, :, 1:4, 1:4].copy())
    np.testing.assert_array_equal(from_view, network.gradients)


@pytest.mark.parametrize("arguments", [(0, 1, 3), (1, 0, 3), (1, 1, 0), (1, 1, 3, 0), (1, 1, 3, 1, -1)])
def test_bad_sizes_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Conv2d needs"):
        Conv2d(*arguments)


def test_an_image_smaller_than_the_filter_is_refused() -> None:
    network = in_a_stack(Conv2d(1, 1, 5, padding=1), 1, np.random.default_rng(0))
    message = "Conv2d(1 -> 1, kernel_size=5, stride=1, padding=1) does not fit images of 2 rows or columns"
    with pytest.raises(ValueError, match=re.escape(message)):
        network.forward(np.zeros((1, 1, 6, 2, 1)))
