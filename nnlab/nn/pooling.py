"""MaxPool2d, AvgPool2d: an image made smaller, a window at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnlab.nn.module import Array
from nnlab.nn.windows import Window


class Pool(Window):
    """One number a channel and window.

    Shapes: input ``[replicas, channels, height, width, batch]``, output ``[replicas, channels, out_height, out_width,
    batch]``.

    Args:
        kernel_size: rows and columns of the window.
        stride: how far it moves from one output to the next; None for kernel_size.
        padding: rows and columns put around the image, on each side; at most half of kernel_size, so that no window
            lies in the padding alone.

    Raises:
        ValueError: a size or stride below 1, a padding below 0 or above half of kernel_size.
    """

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(kernel_size, kernel_size if stride is None else stride, padding)
        if padding > kernel_size // 2:
            raise ValueError(
                f"padding must be at most half of kernel_size={kernel_size} in {type(self).__name__}, got {padding}"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding})"

    def _begin(self, x: Array, padding: float) -> Array:
        """Keep the padded input for ``backward`` and return the output, still empty."""
        self.x = self.pad(x, padding)
        shape = (*x.shape[:2], self.output_size(x.shape[2]), self.output_size(x.shape[3]), x.shape[4])
        return self.buffer("out", shape, x.dtype)

    def _begin_backward(self, grad: Array) -> Array:
        """Return dC/dinput, padded, and 0 unless each of its pixels is in one window, which then assigns to it."""
        padded: Array = self.buffer("padded_grad", (len(grad), *self.x.shape[1:]), grad.dtype)
        covered = grad.shape[2] * self.kernel_size, grad.shape[3] * self.kernel_size
        if self.stride != self.kernel_size or padded.shape[2:4] != covered:
            padded.fill(0)
        return padded

    def _give(self, cell_grad: Array, share: Array) -> None:
        if self._overlaps:
            cell_grad += share
        else:
            cell_grad[...] = share

    def _cells(self, padded: Array, height: int, width: int) -> Iterator[Array]:
        """Yield for each cell of the window, row by row, what is in it at every place: ``[..., height, width, n]``."""
        for row in range(self.kernel_size):
            rows = slice(row, row + self.stride * (height - 1) + 1, self.stride)
            for column in range(self.kernel_size):
                columns = slice(column, column + self.stride * (width - 1) + 1, self.stride)
                yield padded[..., rows, columns, :]

    @property
    def _overlaps(self) -> bool:
        return self.stride < self.kernel_size


class MaxPool2d(Pool):
    """The largest number of each window (see Pool); what was padded is never it.

    The gradient goes to that number; of several equal ones to the first, row by row, as in PyTorch.
    """

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, channels, height, width, batch]`` to ``[replicas, channels, out_height, ...]``."""
        self.largest = self._begin(x, -np.inf)
        first, *others = self._cells(self.x, *self.largest.shape[2:4])
        np.copyto(self.largest, first)
        for cell in others:
            np.maximum(self.largest, cell, out=self.largest)
        return self.largest

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient at the largest numbers and 0 elsewhere."""
        if not input_grad:
            return None
        padded = self._begin_backward(grad)
        *others, last = zip(*(self._cells(each, *grad.shape[2:4]) for each in (self.x, padded)), strict=True)
        share = self.buffer("share", grad.shape, grad.dtype)
        for cell, cell_grad in others:  # ``grad`` shrinks to what no earlier cell of the window took
            np.equal(cell, self.largest, out=share)
            share *= grad
            grad -= share
            self._give(cell_grad, share)
        self._give(last[1], grad)
        return self.inside(padded)


class AvgPool2d(Pool):
    """The mean of each window (see Pool); padded zeros count, as in PyTorch by default."""

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, channels, height, width, batch]`` to ``[replicas, channels, out_height, ...]``."""
        mean = self._begin(x, 0)
        first, *others = self._cells(self.x, *mean.shape[2:4])
        np.copyto(mean, first)
        for cell in others:
            mean += cell
        mean /= self.kernel_size**2
        return mean

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient, shared equally in each window."""
        if not input_grad:
            return None
        padded = self._begin_backward(grad)
        grad /= self.kernel_size**2
        for cell_grad in self._cells(padded, *grad.shape[2:4]):
            self._give(cell_grad, grad)
        return self.inside(padded)
