"""Penalty: what the objective adds to the data loss for large weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential


class Penalty:
    """l1 sum |w| + l2/2 sum w^2 over the weights of each replica; biases are left alone.

    dpenalty/dw = l1 sign(w) + l2 w. It is added as it stands, whatever the loss's reduction.

    Args:
        network: whose weights.
        l1: one number, or one a replica; at least 0.
        l2: the same. In one stack either is 0 for all replicas or for none: then a replica does the same arithmetic as
            it would alone.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    def __init__(
        self, network: Sequential, *, l1: float | Sequence[float] = 0.0, l2: float | Sequence[float] = 0.0
    ) -> None:
        self.network = network
        self.l1, self.l2 = _column("l1", l1, network.replicas), _column("l2", l2, network.replicas)

    def __bool__(self) -> bool:
        return bool(self.l1.any() or self.l2.any())

    def forward(self) -> NDArray[np.float64]:
        """Return the penalty of each replica, ``[replicas]``."""
        weights = self.network.parameters[:, : self.network.weight_size]
        total = np.zeros(self.network.replicas)
        if self.l1.any():
            total += self.l1[:, 0] * np.add.reduce(np.abs(weights), axis=1, dtype=np.float64)
        if self.l2.any():
            total += self.l2[:, 0] / 2 * np.add.reduce(np.square(weights, dtype=np.float64), axis=1)
        return total

    def backward(self) -> None:
        """Add dpenalty/dw to the network's gradients."""
        weights = self.network.parameters[:, : self.network.weight_size]
        gradients = self.network.gradients[:, : self.network.weight_size]
        if self.l1.any():
            gradients += np.sign(weights) * self.l1.astype(weights.dtype)
        if self.l2.any():
            gradients += weights * self.l2.astype(weights.dtype)


def _column(name: str, value: float | Sequence[float], replicas: int) -> NDArray[np.float64]:
    column = np.broadcast_to(np.asarray(value, np.float64), replicas).reshape(-1, 1)
    if not (column >= 0).all():
        raise ValueError(f"{name} must be at least 0, got {value}")
    if column.any() != column.all():
        raise ValueError(f"in one stack {name} must be 0 for all replicas or for none")
    return column
