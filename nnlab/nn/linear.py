"""Linear: the fully connected layer."""

from __future__ import annotations

import numpy as np

from nnlab.nn.module import Array, Module


class Linear(Module):
    """z = W x + b.

    With delta = dC/dz, the textbook's equations: dC/dW = delta x^T, dC/db = sum of delta over the batch,
    dC/dx = W^T delta (Nielsen, "Neural Networks and Deep Learning", ch. 2, BP1-BP4). The mean over the batch is not
    taken here: it is part of the loss.

    Shapes: input ``[replicas, in_features, batch]``, output ``[replicas, out_features, batch]``, ``weight``
    ``[replicas, out_features, in_features]``, ``bias`` ``[replicas, out_features]``.

    Raises:
        ValueError: a size below 1.
    """

    weight: Array
    weight_grad: Array
    bias: Array
    bias_grad: Array

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        if in_features < 1 or out_features < 1:
            raise ValueError(f"a Linear layer needs sizes of at least 1, got {in_features} -> {out_features}")
        self.in_features, self.out_features = in_features, out_features
        self.parameter_shapes = {"weight": (out_features, in_features), "bias": (out_features,)}

    def __repr__(self) -> str:
        return f"Linear({self.in_features} -> {self.out_features})"

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, in_features, batch]`` to ``[replicas, out_features, batch]``."""
        self.x = x
        z = self.buffer("z", (len(self.weight), self.out_features, x.shape[2]), self.weight.dtype)
        np.matmul(self.weight, x, out=z)
        z += self.bias[:, :, None]
        return z

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Fill ``weight_grad`` and ``bias_grad``; return W^T grad, ``[replicas, in_features, batch]``."""
        np.matmul(grad, self.x.swapaxes(1, 2), out=self.weight_grad)
        ones = self.buffer.full(1, grad.shape[2:], grad.dtype)
        np.matmul(grad, ones, out=self.bias_grad)  # the sum over the batch; BLAS is the fastest at it
        if not input_grad:
            return None
        grad_x = self.buffer("grad_x", (len(grad), self.in_features, grad.shape[2]), grad.dtype)
        return np.matmul(self.weight.swapaxes(1, 2), grad, out=grad_x)
