"""Augmentation: small random changes of the training images, anew whenever a batch is gathered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

Augmentation = Callable[[Array, np.random.Generator], None]
"""Changes one replica's minibatch ``[batch, channels * height * width]`` in place, drawing from that run's generator.

The rows are row-major images as `Dataset.inputs` gives them, before standardisation."""

_CHUNK_PIXELS = 32768  # pixels warped at once: the intermediate arrays (128 KiB each in float32) stay in the cache


def none(image_shape: tuple[int, int, int] | None) -> None:
    """The samples as they are: there is nothing to call."""


def shift_rotate(image_shape: tuple[int, int, int] | None, *, max_shift: float, max_rotation: float) -> Augmentation:
    """Shift and rotate each image by amounts of its own.

    With the centre ``c = ((width - 1) / 2, (height - 1) / 2)``, x to the right and y down, the pixel at p is taken from
    ``R (p - c - d) + c`` with ``R = [[cos a, -sin a], [sin a, cos a]]``: the image is rotated by a about its centre,
    counterclockwise as one sees it, then shifted by d. Values between pixels are bilinear; outside the image is 0.

    Three draws a sample, uniform on [-1, 1), in float64 whatever the images' dtype: shift in x, in y, rotation.

    Args:
        image_shape: (channels, height, width).
        max_shift: in pixels; d is uniform on [-max_shift, max_shift) in both directions, not whole numbers.
        max_rotation: in degrees; a is uniform on [-max_rotation, max_rotation).

    Returns:
        The augmentation; it reuses its buffers, so each thread needs its own.

    Raises:
        ValueError: the data set has no images, or a bound is negative or not finite.
    """
    if image_shape is None:
        raise ValueError("shift_rotate needs images, and this data set has none; use augmentation=none")
    for name, value in (("max_shift", max_shift), ("max_rotation", max_rotation)):
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    warp = _Warp(image_shape)
    bounds = np.array([max_shift, max_shift, math.radians(max_rotation)])

    def augment(rows: Array, rng: np.random.Generator) -> None:
        shift_x, shift_y, angle = (rng.uniform(-1.0, 1.0, (len(rows), 3)) * bounds).T
        warp(rows, shift_x, shift_y, angle)

    return augment


class _Warp:
    """Resampling of images, chunk by chunk, in buffers that are reused.

    A copy of the images gets a border of zeros, one pixel on the left and top, two on the right and bottom; positions
    are clipped to it. So all four neighbours of every position exist, and no mask is needed.
    """

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.channels, self.height, self.width = image_shape
        self.padded_width = self.width + 3
        self.plane = (self.height + 3) * self.padded_width  # of one padded channel
        self.chunk = max(1, _CHUNK_PIXELS // (self.height * self.width))
        self.from_centre_x = np.arange(self.width) - (self.width - 1) / 2
        self.from_centre_y = np.arange(self.height) - (self.height - 1) / 2
        self.offsets = np.arange(self.chunk)[:, None, None] * (self.channels * self.plane)  # of each image
        self.positions = np.empty((self.chunk, self.height, self.width), np.intp)
        self._buffers: dict[np.dtype[Any], tuple[Array, Array]] = {}

    def __call__(
        self, rows: Array, shift_x: NDArray[np.float64], shift_y: NDArray[np.float64], angle: NDArray[np.float64]
    ) -> None:
        """Warp ``rows [batch, channels * height * width]`` in place; shifts in pixels, angles in radians."""
        cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
        x, y = self.from_centre_x - shift_x[:, None], self.from_centre_y - shift_y[:, None]
        # The source's position in the padded image (hence + 1) is a part of the column plus a part of the row.
        column_parts = cosine * x + ((self.width - 1) / 2 + 1), sine * x + ((self.height - 1) / 2 + 1)
        row_parts = -sine * y, cosine * y
        columns = [part.astype(rows.dtype)[:, None, :] for part in column_parts]
        lines = [part.astype(rows.dtype)[:, :, None] for part in row_parts]
        for start in range(0, len(rows), self.chunk):
            part = slice(start, start + self.chunk)
            self._chunk(rows[part], columns[0][part], lines[0][part], columns[1][part], lines[1][part])

    def _chunk(self, rows: Array, x_of_column: Array, x_of_row: Array, y_of_column: Array, y_of_row: Array) -> None:
        n = len(rows)
        padded, work = self._buffers_for(rows.dtype)
        positions = self.positions[:n]
        x, y, floor_x, floor_y, upper, lower, other = work[:, :n]
        images = rows.reshape(n, self.channels, self.height, self.width)
        padded[:n, :, 1:-2, 1:-2] = images

        np.add(x_of_column, x_of_row, out=x)
        np.add(y_of_column, y_of_row, out=y)
        np.clip(x, 0, self.width + 1, out=x)
        np.clip(y, 0, self.height + 1, out=y)
        np.floor(x, out=floor_x)
        np.floor(y, out=floor_y)
        x -= floor_x  # from here on the weights of the neighbours on the right and below
        y -= floor_y
        floor_y *= self.padded_width
        floor_y += floor_x
        np.copyto(positions, floor_y, casting="unsafe")
        positions += self.offsets[:n]

        flat = padded.reshape(-1)
        for channel in range(self.channels):
            here = flat[channel * self.plane :]
            for line, blended in ((here, upper), (here[self.padded_width :], lower)):
                # mode "clip" because "raise" would buffer the output; nothing is out of range.
                np.take(line, positions, out=blended, mode="clip")
                np.take(line[1:], positions, out=other, mode="clip")
                other -= blended
                other *= x
                blended += other
            lower -= upper
            lower *= y
            upper += lower
            images[:, channel] = upper
        if not np.may_share_memory(images, rows):  # reshape had to copy
            rows[:] = images.reshape(n, -1)

    def _buffers_for(self, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """Return the padded images of a chunk, whose border stays 0, and its seven intermediate arrays."""
        if dtype not in self._buffers:
            self._buffers[dtype] = (
                np.zeros((self.chunk, self.channels, self.height + 3, self.padded_width), dtype),
                np.empty((7, self.chunk, self.height, self.width), dtype),
            )
        return self._buffers[dtype]
