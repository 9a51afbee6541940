"""SGD: stochastic gradient descent, with momentum and weight decay, for a stack of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential

PerReplica: TypeAlias = float | Sequence[float]


class SGD:
    """One update: g = dC/dw + weight_decay w; v = momentum v + g; w = w - lr v.

    With ``nesterov`` the step is taken along g + momentum v instead of v. ``velocity`` says where the learning rate
    stands when it changes from update to update: ``lr_outside`` is the above, as in PyTorch; ``lr_inside`` is Caffe's
    v = momentum v + lr g; w = w - v. While lr is constant both are the same.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        momentum: in [0, 1).
        weight_decay: at least 0.
        nesterov: look ahead; needs momentum.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        velocity: ``lr_outside`` or ``lr_inside``.

    ``lr``, ``momentum`` and ``weight_decay`` may be one number a replica. In one stack all replicas have momentum or
    none has, and the same for weight decay: then a replica does the same arithmetic as it would alone.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    def __init__(
        self,
        network: Sequential,
        *,
        lr: PerReplica,
        momentum: PerReplica = 0.0,
        nesterov: bool = False,
        weight_decay: PerReplica = 0.0,
        decay: Literal["weights", "all"] = "weights",
        velocity: Literal["lr_outside", "lr_inside"] = "lr_outside",
    ) -> None:
        self.network = network
        self.lr = _column("lr", lr, network)
        self.momentum = _column("momentum", momentum, network)
        self.weight_decay = _column("weight_decay", weight_decay, network)
        if not (self.lr > 0).all():
            raise ValueError(f"lr must be above 0, got {lr}")
        if not ((self.momentum >= 0) & (self.momentum < 1)).all():
            raise ValueError(f"momentum must be at least 0 and below 1, got {momentum}")
        if not (self.weight_decay >= 0).all():
            raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")
        for name, column in (("momentum", self.momentum), ("weight_decay", self.weight_decay)):
            if column.any() != column.all():
                raise ValueError(f"in one stack {name} must be 0 for all replicas or for none")
        if nesterov and not self.momentum.any():
            raise ValueError("nesterov needs a momentum above 0")
        self.nesterov, self.lr_inside = nesterov, velocity == "lr_inside"
        self.momentum = self.momentum.astype(network.dtype)
        self.weight_decay = self.weight_decay.astype(network.dtype)
        self._decayed = slice(0, network.weight_size if decay == "weights" else None)
        self._step = np.empty_like(network.parameters)
        self.velocity = np.zeros_like(network.parameters) if self.momentum.any() else None

    def step(self, multiplier: float | NDArray[np.float64] = 1.0) -> NDArray[np.float64]:
        """Update the parameters once, and return the learning rates used, ``[replicas]``.

        Args:
            multiplier: of ``lr``, from the schedule; one number, or one a replica, ``[replicas]``.
        """
        lr: NDArray[np.float64] = self.lr * np.reshape(multiplier, (-1, 1))
        rate, step, grad = lr.astype(self.network.dtype), self._step, self.network.gradients
        parameters = self.network.parameters
        if self.weight_decay.any():
            decayed = self._decayed
            np.multiply(parameters[:, decayed], self.weight_decay, out=step[:, decayed])
            grad[:, decayed] += step[:, decayed]
        if self.velocity is None:
            np.multiply(grad, rate, out=step)
        else:
            self._momentum_step(grad, rate, self.velocity, step)
        parameters -= step
        return lr[:, 0]

    def _momentum_step(self, grad: NDArray[Any], rate: NDArray[Any], v: NDArray[Any], step: NDArray[Any]) -> None:
        """Advance the velocity and fill ``step`` with what is to be subtracted from the parameters."""
        v *= self.momentum
        if self.lr_inside:
            grad *= rate
        v += grad
        if self.nesterov:
            np.multiply(v, self.momentum, out=step)
            step += grad
        else:
            np.copyto(step, v)
        if not self.lr_inside:
            step *= rate

    def state_dict(self, replica: int = 0) -> dict[str, NDArray[Any]]:
        """Return one replica's optimiser arrays, ``velocity.0.weight`` ..., as views; empty without momentum."""
        if self.velocity is None:
            return {}
        return {f"velocity.{name}": view[replica] for name, view in self.network.views(self.velocity).items()}


def _column(name: str, value: PerReplica, network: Sequential) -> NDArray[np.floating[Any]]:
    """Return the setting as ``[replicas, 1]``, to be multiplied with ``[replicas, size]``."""
    values = np.atleast_1d(np.asarray(value, np.float64))
    if values.size not in (1, network.replicas):
        raise ValueError(f"{name} has {values.size} values for {network.replicas} replicas")
    return np.broadcast_to(values, network.replicas).reshape(-1, 1).copy()
