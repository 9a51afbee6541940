"""BatchNorm1d, BatchNorm2d: each feature or channel brought to mean 0 and variance 1 over the batch."""

from __future__ import annotations

import numpy as np

from nnlab.nn.module import Array, Module


class BatchNorm1d(Module):
    """z = weight (x - mean) / sqrt(variance + eps) + bias, a feature at a time (Ioffe & Szegedy 2015).

    In training, mean and variance are the batch's, and a running mean of each is kept for evaluation:
    running = (1 - momentum) running + momentum batch. As in PyTorch the variance divides by n, the running one's by
    n - 1. With g = dC/dz and x' = (x - mean) / sqrt(variance + eps), both means over the batch:
    dC/dx = weight / sqrt(variance + eps) (g - mean of g - x' mean of (g x')).

    A batch with a single number a feature has variance 0: z = bias, no gradient comes through, and running_var stays as
    it was (PyTorch refuses such a batch; here a run with a short last batch goes on). PyTorch's counter
    ``num_batches_tracked`` is not kept: its ``load_state_dict`` does without.

    Shapes: input ``[replicas, num_features, batch]``, output the same; ``weight``, ``bias``, ``running_mean`` and
    ``running_var`` ``[replicas, num_features]``.

    Args:
        num_features: of the input.
        eps: keeps the root away from 0.
        momentum: the newest batch's share in the running statistics.

    Raises:
        ValueError: num_features below 1, eps not above 0, or momentum outside of [0, 1].
    """

    weight: Array
    weight_grad: Array
    bias: Array
    bias_grad: Array
    running_mean: Array
    running_var: Array

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        if num_features < 1 or not eps > 0 or not 0 <= momentum <= 1:
            raise ValueError(
                f"{type(self).__name__} needs num_features of at least 1, eps above 0 and momentum from 0 to 1, "
                f"got {num_features}, {eps} and {momentum}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.parameter_shapes = {"weight": (num_features,), "bias": (num_features,)}
        self.state_shapes = {"running_mean": (num_features,), "running_var": (num_features,)}
        self.initial = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"

    def forward(self, x: Array) -> Array:
        """Map ``[replicas or 1, num_features, ..., batch]`` to ``[replicas, num_features, ..., batch]``."""
        replicas = len(self.weight)
        self._used_batch = self.training
        self.normalized = self.buffer("normalized", x.shape if self.training else (replicas, *x.shape[1:]), x.dtype)
        lines = self._lines(self.normalized)
        np.copyto(self.normalized, x)
        if self.training:
            mean = np.add.reduce(lines, axis=2) / lines.shape[2]
            lines -= mean[:, :, None]
            squares = np.square(lines, out=self.buffer("product", lines.shape, lines.dtype))
            variance = np.add.reduce(squares, axis=2) / lines.shape[2]
            self._follow(mean, variance, lines.shape[2])
        else:
            lines -= self.running_mean[:, :, None]
            variance = self.running_var
        self._inverse_std = 1 / np.sqrt(variance + self.eps)
        lines *= self._inverse_std[:, :, None]
        z: Array = self.buffer("z", (replicas, *x.shape[1:]), x.dtype)
        np.multiply(lines, self.weight[:, :, None], out=self._lines(z))
        self._lines(z)[...] += self.bias[:, :, None]
        return z

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Fill ``weight_grad`` and ``bias_grad``; return dC/dx."""
        g, normalized = self._lines(grad), self._lines(self.normalized)
        product: Array = self.buffer("product", g.shape, grad.dtype)
        np.multiply(g, normalized, out=product)
        np.add.reduce(product, axis=2, out=self.weight_grad)
        np.add.reduce(g, axis=2, out=self.bias_grad)
        if not input_grad:
            return None
        if self._used_batch:
            np.multiply(normalized, self.weight_grad[:, :, None] / g.shape[2], out=product)
            g -= product
            g -= self.bias_grad[:, :, None] / g.shape[2]
        g *= (self.weight * self._inverse_std)[:, :, None]
        return g.reshape(grad.shape)

    def _follow(self, mean: Array, variance: Array, n: int) -> None:
        """Let the running statistics follow those of a batch of n numbers a feature."""
        self.running_mean *= 1 - self.momentum
        self.running_mean += self.momentum * mean
        if n > 1:
            self.running_var *= 1 - self.momentum
            self.running_var += self.momentum * n / (n - 1) * variance

    @staticmethod
    def _lines(images: Array) -> Array:
        """View what belongs to one feature as one line: ``[replicas, num_features, ...]``."""
        return images.reshape(*images.shape[:2], -1)


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d for images: a channel's statistics are over its pixels and the batch.

    Shapes: input ``[replicas, num_features, height, width, batch]``, output the same.
    """
