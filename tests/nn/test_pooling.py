"""MaxPool2d and AvgPool2d against loops over windows, central differences, PyTorch's rule for ties, and lone runs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import AvgPool2d, MaxPool2d
from nnlab.nn.pooling import Pool
from tests.nn.layers import check_derivatives, check_stack_is_lone, in_a_stack, replica_counts, seeds
from tests.nn.numeric import Float

cheap = settings(deadline=None, max_examples=30)
pools = st.sampled_from([MaxPool2d, AvgPool2d])


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    """Kernel size, stride, padding, height and width that fit together."""
    kernel_size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    padding = draw(st.integers(0, kernel_size // 2))
    smallest = max(1, kernel_size - 2 * padding)
    height, width = (draw(st.integers(smallest, smallest + 5)) for _ in range(2))
    return kernel_size, stride, padding, height, width


def window(image: Float, h: int, w: int, layer: Pool) -> tuple[slice, slice]:
    """The part of an image ``[height, width]`` that an output sees, without the padding."""
    top, left = h * layer.stride - layer.padding, w * layer.stride - layer.padding
    bottom, right = (min(start + layer.kernel_size, n) for start, n in zip((top, left), image.shape, strict=True))
    return slice(max(top, 0), bottom), slice(max(left, 0), right)


def by_windows(image: Float, upstream: Float, layer: Pool) -> tuple[Float, Float]:
    """Output and gradient of one image, a window at a time."""
    out, grad = np.empty(upstream.shape), np.zeros(image.shape)
    for h, w in np.ndindex(out.shape):
        seen = image[window(image, h, w, layer)]
        grad_seen = grad[window(image, h, w, layer)]
        if isinstance(layer, MaxPool2d):
            first = divmod(int(seen.argmax()), seen.shape[1])
            out[h, w] = seen[first]
            grad_seen[first] += upstream[h, w]
        else:
            out[h, w] = seen.sum() / layer.kernel_size**2
            grad_seen += upstream[h, w] / layer.kernel_size**2
    return out, grad


@given(
    pool=pools,
    geometry=geometries(),
    channels=st.integers(1, 3),
    batch=st.integers(1, 3),
    lead=st.integers(1, 2),
    levels=st.sampled_from([2, 1000]),
    seed=seeds,
)
@settings(deadline=None, max_examples=100)
def test_windows_a_loop_at_a_time(
    pool: type[Pool],
    geometry: tuple[int, int, int, int, int],
    channels: int,
    batch: int,
    lead: int,
    levels: int,
    seed: int,
) -> None:
    """With two levels most windows have ties."""
    *arguments, height, width = geometry
    rng, layer = np.random.default_rng(seed), pool(*arguments)
    x = -1 - rng.integers(levels, size=(lead, channels, height, width, batch)).astype(float)
    out = layer.forward(x).copy()
    upstream = rng.normal(size=out.shape)
    grad = layer.backward(upstream.copy())
    assert grad is not None
    for index in np.ndindex(lead, channels, batch):
        cut = (*index[:2], slice(None), slice(None), index[2])
        expected, expected_grad = by_windows(x[cut], upstream[cut], layer)
        np.testing.assert_allclose(out[cut], expected, atol=1e-12)
        np.testing.assert_allclose(grad[cut], expected_grad, atol=1e-12)


@given(
    pool=pools,
    geometry=geometries(),
    batch=st.integers(1, 2),
    replicas=replica_counts,
    shares=st.booleans(),
    seed=seeds,
)
@cheap
def test_backward_is_central_differences(
    pool: type[Pool], geometry: tuple[int, int, int, int, int], batch: int, replicas: int, shares: bool, seed: int
) -> None:
    *arguments, height, width = geometry
    rng = np.random.default_rng(seed)
    shape = (1 if shares else replicas, 2, height, width, batch)
    x = rng.permutation(np.prod(shape)).reshape(shape) / 10  # no two are near each other
    check_derivatives(in_a_stack(pool(*arguments), replicas, rng), x, rng)


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(
    pool=pools,
    geometry=geometries(),
    batch=st.sampled_from([1, 5, 16]),
    dtype=st.sampled_from(["float32", "float64"]),
    shares=st.booleans(),
    seed=seeds,
)
@settings(deadline=None, max_examples=8)
def test_a_stack_is_its_lone_runs_bit_for_bit(
    replicas: int,
    pool: type[Pool],
    geometry: tuple[int, int, int, int, int],
    batch: int,
    dtype: str,
    shares: bool,
    seed: int,
) -> None:
    *arguments, height, width = geometry
    check_stack_is_lone(lambda: pool(*arguments), (2, height, width), replicas, batch, dtype, shares, seed)


def gradient_of_ones(layer: Pool, image: list[list[float]]) -> Any:
    x = np.array(image, float)[None, None, :, :, None]
    grad = layer.backward(np.ones_like(layer.forward(x)))
    assert grad is not None
    return grad[0, 0, :, :, 0].tolist()


def test_of_equal_numbers_the_first_gets_the_gradient() -> None:
    """Row by row, as torch.nn.MaxPool2d does."""
    assert gradient_of_ones(MaxPool2d(2), [[3, 3], [3, 3]]) == [[1, 0], [0, 0]]
    assert gradient_of_ones(MaxPool2d(2), [[0, 3], [3, 3]]) == [[0, 1], [0, 0]]
    assert gradient_of_ones(MaxPool2d(2), [[0, 0], [3, 3]]) == [[0, 0], [1, 0]]
    assert gradient_of_ones(MaxPool2d(2), [[0, 0], [0, 3]]) == [[0, 0], [0, 1]]
    assert gradient_of_ones(MaxPool2d(2, stride=1), [[5] * 3] * 3) == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert gradient_of_ones(MaxPool2d(3, stride=2, padding=1), [[5] * 4] * 4) == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_what_does_not_fill_a_window_is_left_out() -> None:
    assert gradient_of_ones(MaxPool2d(2), [[1, 2, 9], [3, 4, 9], [9, 9, 9]]) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert gradient_of_ones(AvgPool2d(2), [[1] * 3] * 3) == [[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]]


def test_padded_zeros_count_in_the_mean_but_are_no_maximum() -> None:
    x = np.full((1, 1, 2, 2, 1), -4.0)
    assert AvgPool2d(2, padding=1).forward(x).ravel().tolist() == [-1, -1, -1, -1]
    assert MaxPool2d(2, padding=1).forward(x).ravel().tolist() == [-4, -4, -4, -4]


def test_nan_is_not_hidden() -> None:
    x = np.array([1, np.nan, 3, 4]).reshape(1, 1, 2, 2, 1)
    assert np.isnan(MaxPool2d(2).forward(x)).all()


def test_nothing_to_do_without_input_grad() -> None:
    for layer in (MaxPool2d(2), AvgPool2d(2)):
        assert layer.backward(np.ones_like(layer.forward(np.ones((1, 1, 2, 2, 1)))), input_grad=False) is None


@pytest.mark.parametrize("pool", [MaxPool2d, AvgPool2d])
@pytest.mark.parametrize("arguments", [(0,), (2, 0), (2, 2, -1)])
def test_bad_sizes_are_refused(pool: type[Pool], arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"{pool.__name__} needs kernel_size and stride of at least 1"):
        pool(*arguments)


def test_a_window_may_not_lie_in_the_padding_alone() -> None:
    with pytest.raises(ValueError, match="padding must be at most half of kernel_size=3 in MaxPool2d, got 2"):
        MaxPool2d(3, padding=2)


def test_they_say_what_they_are() -> None:
    assert repr(MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0)"
    assert repr(AvgPool2d(3, 1, 1)) == "AvgPool2d(kernel_size=3, stride=1, padding=1)"
