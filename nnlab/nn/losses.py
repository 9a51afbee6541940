"""Losses: how wrong the outputs of a batch are, and dC/doutput.

Outputs and targets are ``[replicas, classes, batch]``, targets one-hot (the leading axis may be 1). ``forward`` returns
one number a replica, ``[replicas]`` in float64; ``backward``, called after it, returns ``[replicas, classes, batch]``.
The mean over the batch is part of every loss, so that ``lr`` means the same for every batch size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.module import Array

Values = NDArray[np.float64]


class Loss:
    """What every loss has: buffers of its own, reused while the batch keeps its size."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, tuple[int, ...], Any], Array] = {}

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the loss of each replica, ``[replicas]``, from outputs and targets ``[replicas, classes, batch]``."""
        raise NotImplementedError(type(self).__name__)

    def backward(self) -> Array:
        """Return dC/doutputs of the last ``forward``, ``[replicas, classes, batch]``; the caller may overwrite it."""
        raise NotImplementedError(type(self).__name__)

    def buffer(self, name: str, like: Array) -> Array:
        """Return the buffer of that name with the shape and dtype of ``like``."""
        key = (name, like.shape, like.dtype)
        array = self._buffers.get(key)
        if array is None:
            array = self._buffers[key] = np.empty_like(like, order="C")
        return array


class CrossEntropy(Loss):
    """C = mean over the batch of -log p[label], p = softmax(outputs): the softmax is inside, outputs are logits.

    dC/doutputs = (p - y) / batch. The largest logit is subtracted first, so no exponential overflows. The same as
    ``torch.nn.CrossEntropyLoss()``.
    """

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the mean cross-entropy of each replica, in nats."""
        shifted, p = self.buffer("shifted", outputs), self.buffer("p", outputs)
        np.subtract(outputs, np.maximum.reduce(outputs, axis=1, keepdims=True), out=shifted)
        np.exp(shifted, out=p)
        total = np.add.reduce(p, axis=1, keepdims=True)
        p /= total
        self.p, self.targets = p, targets
        # -log p[label] = log(sum of exp) - the label's shifted logit, which the one-hot target picks.
        shifted *= targets
        of_label = np.add.reduce(shifted, axis=1)
        losses = np.log(total[:, 0, :]) - of_label
        mean: Values = np.mean(losses, axis=1, dtype=np.float64)
        return mean

    def backward(self) -> Array:
        """Return (p - y) / batch."""
        self.p -= self.targets
        self.p /= self.p.shape[2]
        return self.p


class Quadratic(Loss):
    """C = mean over the batch of 1/2 sum over outputs of (a - y)^2; dC/da = (a - y) / batch."""

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the quadratic cost of each replica."""
        self.error, square = self.buffer("error", outputs), self.buffer("square", outputs)
        np.subtract(outputs, targets, out=self.error)
        np.multiply(self.error, self.error, out=square)
        loss: Values = np.sum(square, axis=(1, 2), dtype=np.float64) / (2 * outputs.shape[2])
        return loss

    def backward(self) -> Array:
        """Return (a - y) / batch."""
        self.error /= self.error.shape[2]
        return self.error


class MSE(Loss):
    """C = mean over all elements, batch and outputs, of (a - y)^2; dC/da = 2 (a - y) / (batch * outputs).

    The same as ``torch.nn.MSELoss()``: ``Quadratic`` times 2 / outputs.
    """

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the mean squared error of each replica."""
        self.error, square = self.buffer("error", outputs), self.buffer("square", outputs)
        np.subtract(outputs, targets, out=self.error)
        np.multiply(self.error, self.error, out=square)
        loss: Values = np.sum(square, axis=(1, 2), dtype=np.float64) / (outputs.shape[1] * outputs.shape[2])
        return loss

    def backward(self) -> Array:
        """Return 2 (a - y) / (batch * outputs)."""
        self.error *= 2 / (self.error.shape[1] * self.error.shape[2])
        return self.error


def count_correct(outputs: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many samples of each replica have their largest output at their label, ``[replicas]``.

    Args:
        outputs: ``[replicas, classes, batch]``; of several equal outputs the first counts.
        labels: ``[replicas or 1, batch]``.
    """
    correct: NDArray[np.int64] = np.sum(outputs.argmax(axis=1) == labels, axis=1, dtype=np.int64)
    return correct
