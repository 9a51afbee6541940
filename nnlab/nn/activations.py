"""Activations: elementwise, a = f(z), and delta = grad * f'(z).

``forward`` takes and gives an array of any shape, ``[replicas, features, batch]`` or ``[replicas, channels, height,
width, batch]``; ``backward`` multiplies the incoming gradient in place. Those that bend smoothly at 0 or need more than
one line of algebra are in smooth_activations.py.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from nnlab.nn.module import Array, Module


class Identity(Module):
    """f(z) = z, f'(z) = 1."""

    def forward(self, x: Array) -> Array:
        """Return the input itself."""
        return x

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient itself."""
        return grad if input_grad else None


class Sigmoid(Module):
    """f(z) = 1 / (1 + exp(-z)), f'(z) = f(z) (1 - f(z))."""

    def forward(self, x: Array) -> Array:
        """Map z to values in [0, 1]; where exp(-z) overflows the result is the limit, 0."""
        self.a = self.buffer("a", x.shape, x.dtype)
        np.negative(x, out=self.a)
        with np.errstate(over="ignore"):
            np.exp(self.a, out=self.a)
        self.a += 1
        np.divide(1, self.a, out=self.a)
        return self.a

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * a * (1 - a)."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.subtract(1, self.a, out=slope)
        slope *= self.a
        grad *= slope
        return grad


class Tanh(Module):
    """f(z) = tanh z, f'(z) = 1 - f(z)^2."""

    def forward(self, x: Array) -> Array:
        """Map z to values in [-1, 1]."""
        self.a = self.buffer("a", x.shape, x.dtype)
        return np.tanh(x, out=self.a)

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * (1 - a^2)."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.multiply(self.a, self.a, out=slope)
        np.subtract(1, slope, out=slope)
        grad *= slope
        return grad


class ReLU(Module):
    """f(z) = max(0, z), f'(z) = 1 for z > 0 and 0 for z < 0.

    Args:
        derivative_at_zero: f'(0), which the formula leaves open: 0 as in PyTorch, 1 as some articles write it.
    """

    def __init__(self, *, derivative_at_zero: Literal[0, 1] = 0) -> None:
        super().__init__()
        if derivative_at_zero not in (0, 1):
            raise ValueError(f"derivative_at_zero must be 0 or 1, got {derivative_at_zero}")
        self._is_on = np.greater_equal if derivative_at_zero else np.greater

    def forward(self, x: Array) -> Array:
        """Map z to values of at least 0."""
        self.z = x
        # With the number 0 instead of an array of them, np.maximum takes two to three times as long.
        zeros = self.buffer.full(0, x.shape, x.dtype)
        a: Array = np.maximum(x, zeros, out=self.buffer("a", x.shape, x.dtype))
        return a

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad where the unit is on, else 0."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        self._is_on(self.z, self.buffer.full(0, (), grad.dtype), out=slope)
        grad *= slope
        return grad


class LeakyReLU(Module):
    """f(z) = max(z, negative_slope z), f'(z) = 1 for z > 0, else negative_slope (at 0 too, as in PyTorch).

    Args:
        negative_slope: from 0 (relu) to 1 (the identity).
    """

    def __init__(self, *, negative_slope: float = 0.01) -> None:
        super().__init__()
        if not 0 <= negative_slope <= 1:
            raise ValueError(f"negative_slope must be between 0 and 1, got {negative_slope}")
        self._negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        """Shrink what is below 0."""
        self.z = x
        a: Array = self.buffer("a", x.shape, x.dtype)
        np.multiply(x, self._negative_slope, out=a)
        return np.maximum(x, a, out=a)

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad where z > 0, else grad * negative_slope."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.greater(self.z, 0, out=slope)
        np.clip(slope, self._negative_slope, 1, out=slope)
        grad *= slope
        return grad


def positive_part(x: Array, out: Array) -> Array:
    """Return max(0, x), written into ``out``; NaN stays NaN."""
    np.clip(x, 0, np.inf, out=out)  # np.maximum(x, 0) takes up to three times as long
    return out
