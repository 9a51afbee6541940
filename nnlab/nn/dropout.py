"""Dropout: random units switched off while training."""

from __future__ import annotations

import numpy as np

from nnlab.nn.module import Array, Module


class Dropout(Module):
    """In training each number becomes 0 with probability p, else it is divided by 1 - p; in evaluation it stays.

    So the mean is the same in both (Srivastava et al. 2014, "inverted" as in PyTorch). Each replica draws from its own
    generator, the same numbers whatever the dtype.

    Args:
        p: probability of being switched off, from 0 to below 1.

    Raises:
        ValueError: a p outside of [0, 1).
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {p}")
        self.p = p
        self._mask: Array | None = None

    def __repr__(self) -> str:
        return f"Dropout({self.p})"

    def forward(self, x: Array) -> Array:
        """Map ``[replicas or 1, ...]`` to ``[replicas, ...]`` in training; return the input itself in evaluation."""
        if not self.training or not self.p:
            self._mask = None
            return x
        if len(x) not in (1, len(self.rngs)) or not self.rngs:
            raise ValueError(f"Dropout needs a generator for each of {len(x)} replicas, got {len(self.rngs)}")
        shape = len(self.rngs), *x.shape[1:]
        draws = self.buffer("draws", shape, np.dtype(np.float32))
        for rng, own in zip(self.rngs, draws, strict=True):
            rng.random(dtype=np.float32, out=own)
        self._mask = self.buffer("mask", shape, x.dtype)
        np.greater_equal(draws, self.p, out=self._mask)
        self._mask *= 1 / (1 - self.p)
        a: Array = self.buffer("a", shape, x.dtype)
        return np.multiply(x, self._mask, out=a)

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return the gradient of what was kept, scaled likewise, and 0 elsewhere."""
        if not input_grad:
            return None
        if self._mask is not None:
            grad *= self._mask
        return grad
