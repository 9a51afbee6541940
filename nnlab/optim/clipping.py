"""Gradient clipping, in place, each replica by itself: ``torch.nn.utils.clip_grad_value_`` and ``clip_grad_norm_``."""

from __future__ import annotations

import numpy as np

from nnlab.optim.blocks import Array, column


def clip_value(gradients: Array, limit: float) -> None:
    """Move every number of ``gradients`` into [-limit, limit]; NaN stays."""
    gradients.clip(-limit, limit, out=gradients)


def clip_norm(gradients: Array, limit: float, scratch: Array) -> None:
    """Scale each replica's gradients by min(1, limit / (norm + 1e-6)), norm = sqrt of the sum of all their squares.

    A replica whose norm is NaN gets NaN everywhere, one whose norm is Inf gets 0 where its gradients are finite.

    Args:
        gradients: ``[replicas, size]``.
        limit: of the norm.
        scratch: like ``gradients``.
    """
    np.multiply(gradients, gradients, out=scratch)
    # Whole lines at once and not block by block: the order of summation decides the last bits.
    norms = np.sqrt(np.add.reduce(scratch, axis=1)).astype(np.float64)
    factors = limit / (norms + 1e-6)
    if not (factors >= 1).all():
        np.multiply(gradients, column(np.minimum(factors, 1), gradients.dtype), out=gradients)
