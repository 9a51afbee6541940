"""Flatten, Unflatten: from images to features and back."""

from __future__ import annotations

import numpy as np

from nnlab.nn.module import Array, Module


class Flatten(Module):
    """Lay out an image's channels, rows and columns as one axis of features, in this order.

    Shapes: input ``[replicas, channels, height, width, batch]``, output ``[replicas, features, batch]``.
    """

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, channels, height, width, batch]`` to ``[replicas, features, batch]``."""
        self._image = x.shape[1:4]
        return x.reshape(len(x), -1, x.shape[-1])

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient as images."""
        return grad.reshape(len(grad), *self._image, grad.shape[-1]) if input_grad else None


class Unflatten(Module):
    """Take features as an image: channel by channel, row by row; PyTorch's ``Unflatten(1, (channels, height, width))``.

    Shapes: input ``[replicas, channels * height * width, batch]``, output ``[replicas, channels, height, width,
    batch]`` with the batch contiguous, whatever the input's layout: the layers behind are several times faster so.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        if min(channels, height, width) < 1:
            raise ValueError(f"Unflatten needs sizes of at least 1, got {channels} x {height} x {width}")
        self._image = channels, height, width
        self.in_features = channels * height * width

    def __repr__(self) -> str:
        return f"Unflatten({self.in_features} -> {' x '.join(map(str, self._image))})"

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, features, batch]`` to ``[replicas, channels, height, width, batch]``."""
        if not x.flags.c_contiguous:
            contiguous = self.buffer("contiguous", x.shape, x.dtype)
            np.copyto(contiguous, x)
            x = contiguous
        return x.reshape(len(x), *self._image, x.shape[2])

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient as features."""
        return grad.reshape(len(grad), self.in_features, grad.shape[-1]) if input_grad else None
