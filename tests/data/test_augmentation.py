from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data.augmentation import none, shift_rotate

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Given(np.random.Generator):
    """A generator whose uniform numbers are given: [batch, 3] on [-1, 1], for shift x, shift y and rotation."""

    def __init__(self, uniforms: Any) -> None:
        super().__init__(np.random.PCG64(0))
        self.uniforms = np.array(uniforms, dtype=np.float64)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        assert (low, high, size) == (-1.0, 1.0, self.uniforms.shape)
        return self.uniforms


def sample(image: NDArray[Any], shift_x: float, shift_y: float, degrees: float) -> NDArray[np.float64]:
    """One channel [height, width], pixel by pixel from the formula, in float64."""
    height, width = image.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def pixel(column: int, row: int) -> float:
        return float(image[row, column]) if 0 <= column < width and 0 <= row < height else 0.0

    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            x, y = column - centre_x - shift_x, row - centre_y - shift_y
            from_x, from_y = cosine * x - sine * y + centre_x, sine * x + cosine * y + centre_y
            left, top = math.floor(from_x), math.floor(from_y)
            right_share, lower_share = from_x - left, from_y - top
            result[row, column] = (
                (1 - right_share) * (1 - lower_share) * pixel(left, top)
                + right_share * (1 - lower_share) * pixel(left + 1, top)
                + (1 - right_share) * lower_share * pixel(left, top + 1)
                + right_share * lower_share * pixel(left + 1, top + 1)
            )
    return result


def augmented(
    images: NDArray[Any], uniforms: Any, *, max_shift: float = 2.0, max_rotation: float = 10.0
) -> NDArray[Any]:
    """Images [batch, channels, height, width] through shift_rotate with given draws."""
    shape = images.shape[1], images.shape[2], images.shape[3]
    rows = images.reshape(len(images), -1).copy()
    shift_rotate(shape, max_shift=max_shift, max_rotation=max_rotation)(rows, Given(uniforms))
    assert rows.dtype == images.dtype
    return rows.reshape(images.shape)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 10**6),
    max_shift=st.sampled_from([0.0, 0.5, 2.0, 30.0]),
    max_rotation=st.sampled_from([0.0, 10.0, 180.0]),
)
def test_each_pixel_is_what_the_formula_gives(
    shape: tuple[int, int, int, int], dtype: Any, seed: int, max_shift: float, max_rotation: float
) -> None:
    rng = np.random.default_rng(seed)
    images, uniforms = rng.random(shape).astype(dtype), rng.uniform(-1, 1, (shape[0], 3))
    result = augmented(images, uniforms, max_shift=max_shift, max_rotation=max_rotation)
    expected = [
        [sample(channel, dx * max_shift, dy * max_shift, a * max_rotation) for channel in image]
        for image, (dx, dy, a) in zip(images, uniforms, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_shifts_move_the_pixels_and_bring_in_zeros(dtype: Any) -> None:
    images = np.random.default_rng(0).random((3, 2, 5, 6)).astype(dtype)
    result = augmented(images, [[1.0, 0.0, 0.0], [0.0, -0.5, 0.0], [-1.0, 0.5, 0.0]], max_shift=2.0)
    expected = np.zeros_like(images)
    expected[0, :, :, 2:] = images[0, :, :, :-2]  # 2 to the right
    expected[1, :, :-1] = images[1, :, 1:]  # 1 up
    expected[2, :, 1:, :-2] = images[2, :, :-1, 2:]  # 2 to the left, 1 down
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_shift_and_no_rotation_leave_every_bit(dtype: Any) -> None:
    images = np.random.default_rng(0).normal(size=(50, 1, 28, 28)).astype(dtype)
    np.testing.assert_array_equal(augmented(images, np.zeros((50, 3))), images)
    rows = images.reshape(50, -1).copy()
    shift_rotate((1, 28, 28), max_shift=0.0, max_rotation=0.0)(rows, np.random.default_rng(3))
    np.testing.assert_array_equal(rows, images.reshape(50, -1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [7, 28])
def test_a_quarter_turn_is_that_of_numpy_counterclockwise(dtype: Any, size: int) -> None:
    images = np.random.default_rng(0).random((2, 1, size, size)).astype(dtype)
    result = augmented(images, [[0, 0, 1], [0, 0, -1]], max_rotation=90.0)
    np.testing.assert_allclose(result[0, 0], np.rot90(images[0, 0]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(result[1, 0], np.rot90(images[1, 0], -1), rtol=0, atol=1e-6)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    images = np.array([[[[0.0, 4.0, 2.0]]]])
    np.testing.assert_array_equal(augmented(images, [[0.5, 0, 0]], max_shift=1.0), [[[[0.0, 2.0, 3.0]]]])


def test_far_away_is_nothing() -> None:
    images = np.ones((2, 1, 4, 4), dtype=np.float32)
    assert not augmented(images, [[1, 0, 0.3], [0, -1, 0.7]], max_shift=1e6).any()


def test_the_draws_are_uniform_within_their_bounds() -> None:
    # A bright pixel on a large canvas: its centre of gravity is the shift, exactly, as bilinear shares are.
    image = np.zeros((41, 41))
    image[20, 20] = 1
    rows = np.repeat(image.reshape(1, -1), 2000, axis=0)
    shift_rotate((1, 41, 41), max_shift=3.0, max_rotation=0.0)(rows, np.random.default_rng(0))
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
    for axis in (1, 2):
        weight = rows.reshape(-1, 41, 41).sum(axis=3 - axis)
        shift = np.sort(weight @ np.arange(41.0) - 20) / 3
        assert_uniform(shift)
    # A bright pixel far to the right tells the angle, to the width of a pixel; y points down.
    image = np.zeros((401, 401))
    image[200, 400] = 1
    rows = np.repeat(image.reshape(1, -1), 250, axis=0)
    shift_rotate((1, 401, 401), max_shift=0.0, max_rotation=20.0)(rows, np.random.default_rng(1))
    rows /= rows.sum(axis=1, keepdims=True)
    down = rows.reshape(-1, 401, 401).sum(axis=2) @ np.arange(401.0) - 200
    assert_uniform(np.sort(np.degrees(np.arcsin(-down / 200))) / 20)


def assert_uniform(values: NDArray[Any]) -> None:
    """Kolmogorov-Smirnov on [-1, 1]: by Massart's bound, a false alarm has a chance below 1e-7."""
    n = len(values)
    distance = np.abs((values + 1) / 2 - (np.arange(n) + 0.5) / n).max()
    assert distance < math.sqrt(math.log(2 / 1e-7) / (2 * n)) + 0.02  # 0.02: what the pixels blur


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_generator_gives_three_numbers_a_sample_whatever_the_dtype(dtype: Any) -> None:
    ours, other = np.random.default_rng(7), np.random.default_rng(7)
    shift_rotate((2, 3, 4), max_shift=1.0, max_rotation=5.0)(np.ones((6, 24), dtype), ours)
    other.uniform(-1.0, 1.0, (6, 3))
    assert ours.bit_generator.state == other.bit_generator.state


def test_float32_is_the_same_picture_as_float64() -> None:
    images = np.random.default_rng(0).random((9, 784))
    small = images.astype(np.float32)
    for rows in (images, small):
        shift_rotate((1, 28, 28), max_shift=2.0, max_rotation=10.0)(rows, np.random.default_rng(5))
    np.testing.assert_allclose(small, images, rtol=0, atol=1e-5)


def test_batches_of_any_size_and_layout_share_one_augmentation() -> None:
    # 28 x 28 is warped in chunks of 41 images; what an image becomes must not depend on its place in them.
    images, uniforms = (
        np.random.default_rng(0).random((100, 1, 28, 28)),
        np.random.default_rng(1).uniform(-1, 1, (100, 3)),
    )
    augment = shift_rotate((1, 28, 28), max_shift=2.0, max_rotation=10.0)
    alone = images.reshape(100, -1).copy()
    for row in range(100):
        augment(alone[row : row + 1], Given(uniforms[row : row + 1]))
    for layout in ("C", "F"):
        together = images.reshape(100, -1).copy(order=layout)
        augment(together, Given(uniforms))
        np.testing.assert_array_equal(together, alone)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="needs images"):
        shift_rotate(None, max_shift=1.0, max_rotation=1.0)
    for bad in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="max_shift must be a finite number of at least 0"):
            shift_rotate((1, 2, 2), max_shift=bad, max_rotation=1.0)
        with pytest.raises(ValueError, match="max_rotation must be a finite number of at least 0"):
            shift_rotate((1, 2, 2), max_shift=1.0, max_rotation=bad)


def test_none_is_nothing() -> None:
    assert none(None) is None  # type: ignore[func-returns-value]
    assert none((1, 28, 28)) is None  # type: ignore[func-returns-value]
