"""Conv2d: the convolutional layer (cross-correlation, as everywhere in deep learning)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlab.nn.module import Array
from nnlab.nn.windows import Window

_SAMPLES = 256  # of a batch that are worked on at once: more would not stay in the cache
_SMALL_PRODUCT = 1_000_000  # multiplications up to which OpenBLAS spares itself a rearranged copy of the operands


class Conv2d(Window):
    """z[o, h, w] = b[o] + sum over c, i, j of W[o, c, i, j] x[c, h stride + i - padding, w stride + j - padding].

    Each row of the input is copied once for each column j of the filter, shifted and thinned out to the places w:
    columns[h, c, j, w] = x[c, h, w stride + j]. The rows under a filter then lie one behind the other in memory, and
    with delta = dC/dz each row h of the output is one product of matrices, each way:

    * z[:, h] = W columns[h stride : h stride + kernel_size], over (i, c, j);
    * dC/dW = sum over h of delta[:, h] columns[h stride : h stride + kernel_size]^T;
    * dC/dcolumns[h] = W^T delta[:, the h' whose filter covers h], over (i, o); each pixel sums what its copies get.

    Shapes: input ``[replicas, in_channels, height, width, batch]``, output ``[replicas, out_channels, out_height,
    out_width, batch]``, ``weight`` ``[replicas, out_channels, in_channels, kernel_size, kernel_size]``, ``bias``
    ``[replicas, out_channels]``.

    Args:
        in_channels: of the input.
        out_channels: number of filters.
        kernel_size: rows and columns of a filter.
        stride: how far the filter moves from one output to the next.
        padding: rows and columns of zeros put around the image, on each side.

    Raises:
        ValueError: a size or stride below 1, or a padding below 0.
    """

    weight: Array
    weight_grad: Array
    bias: Array
    bias_grad: Array

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if in_channels < 1 or out_channels < 1:
            raise ValueError(f"Conv2d needs at least 1 channel, got {in_channels} -> {out_channels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.parameter_shapes = {
            "weight": (out_channels, in_channels, kernel_size, kernel_size),
            "bias": (out_channels,),
        }

    def __repr__(self) -> str:
        return (
            f"Conv2d({self.in_channels} -> {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding})"
        )

    def forward(self, x: Array) -> Array:
        """Map ``[replicas or 1, in_channels, height, width, batch]`` to ``[replicas, out_channels, ..., batch]``."""
        self.x = self.pad(x, 0)
        height, width = self.output_size(x.shape[2]), self.output_size(x.shape[3])
        z: Array = self.buffer("z", (*self.weight.shape[:2], height, width, x.shape[4]), self.weight.dtype)
        weight = self.weight.swapaxes(2, 3).reshape(len(z), self.out_channels, -1)
        for samples, places in self._parts(z):
            for replica in range(len(z)):
                if replica < len(x):
                    columns = self._columns(replica, samples, width)
                products = _cut(z[replica, ..., samples], places).transpose(1, 2, 0, 3)
                np.matmul(weight[replica], self._under_filter(columns, height, places), out=products)
        z += self.bias[:, :, None, None, None]
        return z

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Fill ``weight_grad`` and ``bias_grad``; return dC/dx, ``[replicas, in_channels, height, width, batch]``."""
        delta = np.ascontiguousarray(grad)
        padded_grad = self.buffer("padded_grad", (len(grad), *self.x.shape[1:]), grad.dtype) if input_grad else None
        if padded_grad is not None:
            padded_grad.fill(0)
        self.weight_grad.fill(0)
        for samples, places in self._parts(delta):
            for replica in range(len(delta)):
                if replica < len(self.x):
                    columns = self._columns(replica, samples, delta.shape[3])
                self._add_weight_grad(self.weight_grad[replica], delta[replica, ..., samples], columns, places)
                if padded_grad is not None:
                    part = padded_grad[replica, ..., samples]
                    self._add_input_grad(part, delta[replica, ..., samples], self.weight[replica], places)
        np.add.reduce(delta.reshape(*delta.shape[:2], -1), axis=2, out=self.bias_grad)
        return None if padded_grad is None else np.ascontiguousarray(self.inside(padded_grad))

    def _parts(self, z: Array) -> Iterator[tuple[slice, int]]:
        """Yield what part of the batch to work on and how many places of a row to take as one matrix."""
        filters, width, batch = z.shape[1], z.shape[3], z.shape[4]
        samples = min(batch, _SAMPLES)
        most = _SMALL_PRODUCT // (self.in_channels * self.kernel_size**2 * filters * samples)
        divisors = [n for n in range(1, width + 1) if width % n == 0]
        places = max((n for n in divisors if n <= most), default=width)
        for start in range(0, batch, samples):
            yield slice(start, start + samples), places if samples == batch else 1

    def _columns(self, replica: int, samples: slice, width: int) -> Array:
        """Return one replica's columns of the docstring, ``[padded height, in_channels, kernel_size, width, n]``."""
        x = self.x[replica, ..., samples].swapaxes(0, 1)
        row, channel, column, sample = x.strides
        shape = (*x.shape[:2], self.kernel_size, width, x.shape[3])
        columns: Array = self.buffer("columns", shape, x.dtype)
        np.copyto(columns, as_strided(x, shape, (row, channel, column, column * self.stride, sample)))
        return columns

    def _under_filter(self, columns: Array, height: int, places: int) -> Array:
        """View what the filter covers at each of its places: ``[height, groups, (i, c, j), places * samples]``."""
        cut = _cut(columns.reshape(-1, *columns.shape[3:]), places)  # [(row, c, j), groups, places * samples]
        line, group, number = cut.strides
        lines = self.in_channels * self.kernel_size
        shape = (height, cut.shape[1], self.kernel_size * lines, cut.shape[2])
        return as_strided(cut, shape, (self.stride * lines * line, group, line, number))

    def _add_weight_grad(self, weight_grad: Array, delta: Array, columns: Array, places: int) -> None:
        covered = self._under_filter(columns, delta.shape[1], places)
        # A product for each row of the filter: for all at once OpenBLAS would take its long way.
        by_row = covered.reshape(*covered.shape[:2], self.kernel_size, -1, covered.shape[3])
        left = _cut(delta, places).transpose(1, 2, 0, 3)[:, :, None]
        shares: Array = self.buffer("shares", (*by_row.shape[:3], len(delta), by_row.shape[3]), delta.dtype)
        np.matmul(left, by_row.swapaxes(3, 4), out=shares)
        total = np.add.reduce(shares.reshape(-1, *shares.shape[2:]), axis=0)  # [i, o, (c, j)]
        weight_grad += total.reshape(*total.shape[:2], self.in_channels, -1).transpose(1, 2, 0, 3)

    def _add_input_grad(self, padded_grad: Array, delta: Array, weight: Array, places: int) -> None:
        height, width = delta.shape[1:3]
        size, stride = self.kernel_size, self.stride
        rows: Array = self.buffer("delta_rows", (height, len(delta), *delta.shape[2:]), delta.dtype)
        np.copyto(rows, delta.swapaxes(0, 1))
        # [(c, j), i, o], the last row of the filter first: it is the one that the first h' has over row h.
        turned = weight.transpose(1, 3, 2, 0)[:, :, ::-1].reshape(-1, size, len(delta))
        shape = (self.in_channels * size, *delta.shape[2:])
        column_grad: Array = self.buffer("column_grad", shape, delta.dtype)
        for row in range((height - 1) * stride + size):
            first, last = max(0, -(-(row - size + 1) // stride)), min(height - 1, row // stride)
            if first > last:
                continue  # between the filter's places
            start = size - 1 - (row - first * stride)
            taps = turned[:, start : start + (last - first) * stride + 1 : stride].reshape(len(turned), -1)
            covering = _cut(rows[first : last + 1].reshape(-1, *delta.shape[2:]), places)
            np.matmul(taps, covering.swapaxes(0, 1), out=_cut(column_grad, places).swapaxes(0, 1))
            by_column = column_grad.reshape(self.in_channels, size, *delta.shape[2:])
            for column in range(size):
                padded_grad[:, row, column : column + stride * (width - 1) + 1 : stride] += by_column[:, column]


def _cut(images: Array, places: int) -> Array:
    """View ``[..., width, samples]`` as ``[..., groups, places * samples]``."""
    *leading, width, samples = images.shape
    return images.reshape(*leading, width // places, places * samples)
