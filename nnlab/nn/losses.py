"""Losses: how wrong the outputs of a batch are, and dC/doutput.

Outputs and targets are ``[replicas, classes, batch]``, targets one-hot (the leading axis may be 1). ``forward`` returns
one number a replica, ``[replicas]`` in float64; ``backward``, called after it, returns ``[replicas, classes, batch]``.
With ``reduction=mean`` the mean over the batch is part of the loss, so that ``lr`` means the same for every batch size;
with ``sum`` the samples' losses are added up.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.module import Array
from nnlab.scratch import Scratch

Values = NDArray[np.float64]
Reduction = Literal["mean", "sum"]


class Loss:
    """What every loss has: the reduction, and buffers of its own, reused while the batch keeps its size.

    Args:
        reduction: ``mean`` or ``sum``, over the samples of a batch.

    Raises:
        ValueError: another reduction.
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be mean or sum, got {reduction!r}")
        self.reduction = reduction
        self.scratch = Scratch()

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the loss of each replica, ``[replicas]``, from outputs and targets ``[replicas, classes, batch]``."""
        raise NotImplementedError(type(self).__name__)

    def backward(self, scale: float | Values = 1.0) -> Array:
        """Return scale * dC/doutputs of the last ``forward``, ``[replicas, classes, batch]``; it may be overwritten.

        Args:
            scale: a number, or one a replica, ``[replicas]``. Everything that backpropagation derives from the result
                carries this factor.
        """
        raise NotImplementedError(type(self).__name__)

    def samples(self, batch: int) -> int:
        """Return how many samples a value of ``forward`` stands for: weights it in a mean over several batches."""
        return batch if self.reduction == "mean" else 1

    def buffer(self, name: str, like: Array) -> Array:
        """Return the buffer of that name with the shape and dtype of ``like``."""
        return self.scratch(name, like.shape, like.dtype)

    def _reduced(self, sums: Values, count: int) -> Values:
        """Return the sums over a batch as the reduction asks."""
        return sums / count if self.reduction == "mean" else sums

    def _times(self, gradient: Array, scale: float | Values, count: int) -> Array:
        """Multiply the gradient of the samples' sum by ``scale``, and by 1 / count for a mean, in place."""
        # Rounded to the dtype once and at the end, so that a lone run and a stack have the same bits.
        divided = scale / count if self.reduction == "mean" else scale
        if isinstance(divided, np.ndarray):
            gradient *= divided.astype(gradient.dtype)[:, None, None]
        else:
            gradient *= np.asarray(divided, gradient.dtype)
        return gradient


class CrossEntropy(Loss):
    """C = mean over the batch of -log p[label], p = softmax(outputs): the softmax is inside, outputs are logits.

    dC/doutputs = (p - y) / batch. The largest logit is subtracted first, so no exponential overflows. The same as
    ``torch.nn.CrossEntropyLoss(reduction=..., label_smoothing=...)``.

    Args:
        reduction: ``mean`` or ``sum``, over the samples of a batch.
        label_smoothing: in [0, 1): that share of each target is spread evenly over all classes (Szegedy et al. 2016).

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(self, *, reduction: Reduction = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(reduction=reduction)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the cross-entropy of each replica, in nats."""
        shifted, p = self.buffer("shifted", outputs), self.buffer("p", outputs)
        over_classes = self.scratch.full(1, (1, outputs.shape[1]), outputs.dtype)  # sums as products: BLAS is faster
        np.subtract(outputs, np.maximum.reduce(outputs, axis=1, keepdims=True), out=shifted)
        np.exp(shifted, out=p)
        total = np.matmul(over_classes, p)
        p *= np.reciprocal(total)
        if self.label_smoothing:
            targets = (1 - self.label_smoothing) * targets + self.label_smoothing / outputs.shape[1]
        self.p, self.targets = p, targets
        # -log p[label] = log(sum of exp) - the label's shifted logit, which the one-hot target picks.
        shifted *= targets
        losses = np.log(total, out=total)
        losses -= np.matmul(over_classes, shifted)
        return self._reduced(_total(losses), outputs.shape[2])

    def backward(self, scale: float | Values = 1.0) -> Array:
        """Return scale * (p - y) / batch."""
        self.p -= self.targets
        return self._times(self.p, scale, self.p.shape[2])


class Quadratic(Loss):
    """C = mean over the batch of 1/2 sum over outputs of (a - y)^2; dC/da = (a - y) / batch."""

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the quadratic cost of each replica."""
        self.error, square = self.buffer("error", outputs), self.buffer("square", outputs)
        np.subtract(outputs, targets, out=self.error)
        np.multiply(self.error, self.error, out=square)
        return self._reduced(_total(square) / 2, outputs.shape[2])

    def backward(self, scale: float | Values = 1.0) -> Array:
        """Return scale * (a - y) / batch."""
        return self._times(self.error, scale, self.error.shape[2])


class MSE(Loss):
    """C = mean over all elements, batch and outputs, of (a - y)^2; dC/da = 2 (a - y) / (batch * outputs).

    The same as ``torch.nn.MSELoss(reduction=...)``: the mean is ``Quadratic`` times 2 / outputs, the sum times 2.
    """

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the mean squared error of each replica."""
        self.error, square = self.buffer("error", outputs), self.buffer("square", outputs)
        np.subtract(outputs, targets, out=self.error)
        np.multiply(self.error, self.error, out=square)
        return self._reduced(_total(square), outputs.shape[1] * outputs.shape[2])

    def backward(self, scale: float | Values = 1.0) -> Array:
        """Return scale * 2 (a - y) / (batch * outputs)."""
        return self._times(self.error, 2 * scale, self.error.shape[1] * self.error.shape[2])


class Hinge(Loss):
    """C = mean over the batch of the sum over wrong classes k of max(0, s_k - s_label + margin), s = outputs.

    The multi-class support vector machine of Weston & Watkins (1999): dC/ds_k is 1 / batch for each wrong class inside
    the margin, and minus their number / batch for the label. At the kink itself the derivative is 0. Classes times
    ``torch.nn.MultiMarginLoss(margin=...)``, which divides by their number.

    Args:
        reduction: ``mean`` or ``sum``, over the samples of a batch.
        margin: above 0: by how much the label's score is to exceed the others.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(self, *, reduction: Reduction = "mean", margin: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not margin > 0:
            raise ValueError(f"margin must be above 0, got {margin}")
        self.margin = margin

    def forward(self, outputs: Array, targets: Array) -> Values:
        """Return the hinge loss of each replica."""
        excess, wrong = self.buffer("excess", outputs), 1 - targets
        np.multiply(outputs, targets, out=excess)
        of_label = np.add.reduce(excess, axis=1, keepdims=True)
        np.subtract(outputs, of_label - self.margin, out=excess)
        excess *= wrong
        np.maximum(excess, 0, out=excess)
        self.excess, self.targets = excess, targets
        return self._reduced(_total(excess), outputs.shape[2])

    def backward(self, scale: float | Values = 1.0) -> Array:
        """Return scale / batch where a wrong class is inside the margin, and minus their sum at the label."""
        grad = self.buffer("grad", self.excess)
        np.sign(self.excess, out=grad)
        grad -= np.add.reduce(grad, axis=1, keepdims=True) * self.targets
        return self._times(grad, scale, grad.shape[2])


def count_correct(outputs: Array, targets: Array, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many samples of each replica have their largest output at their label, ``[replicas]``.

    Args:
        outputs: ``[replicas, classes, batch]``; of several equal outputs the first counts.
        targets: one-hot, ``[replicas or 1, classes, batch]``.
        labels: the same as numbers, ``[replicas or 1, batch]``.
    """
    if len(outputs) > 1:  # NumPy's argmax across a stack takes several times as long as all of this
        largest = np.maximum.reduce(outputs, axis=1, keepdims=True)
        is_largest = outputs == largest
        if np.count_nonzero(is_largest) == largest.size and not np.isnan(largest).any():  # no two are equal
            each = is_largest.astype(outputs.dtype).reshape(len(outputs), 1, -1)
            hits: NDArray[np.int64] = np.matmul(each, targets.reshape(len(targets), -1, 1)).astype(np.int64)
            return hits[:, 0, 0]
    correct: NDArray[np.int64] = np.add.reduce(outputs.argmax(axis=1) == labels, axis=1, dtype=np.int64)
    return correct


def _total(values: Array) -> Values:
    """Sum over classes and batch, ``[replicas]``, in float64."""
    total: Values = np.add.reduce(values, axis=(1, 2), dtype=np.float64)
    return total
