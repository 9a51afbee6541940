"""RMSprop: steps scaled by the running mean of the gradient's square."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nnlab.nn.sequential import Sequential
from nnlab.optim.blocks import Array, Block, column
from nnlab.optim.optimizer import Optimizer
from nnlab.optim.ranges import PerReplica, above_zero, all_or_none, below_one, one_a_replica


class RMSprop(Optimizer):
    """One update: w = w - lr g / (sqrt(s) + eps), with s = alpha s + (1 - alpha) g^2 and g = dC/dw + weight_decay w.

    ``centered`` takes the variance instead: m = alpha m + (1 - alpha) g, and s - m^2 under the root (0 where rounding
    makes it negative: there ``torch.optim.RMSprop``, otherwise the same, gives NaN). With ``momentum``
    b = momentum b + g / (sqrt(s) + eps); w = w - lr b.

    Hinton's lecture 6e (2012); centred: Graves 2013, equations 38-42, with eps outside the root.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        alpha: in [0, 1).
        eps: above 0.
        momentum: in [0, 1).
        centered: divide by the standard deviation of the gradient.
        weight_decay: at least 0; L2, added to the gradient.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        clip_value: see ``Optimizer``.
        clip_norm: see ``Optimizer``.

    ``lr``, ``momentum`` and ``weight_decay`` may be one number a replica. In one stack all replicas have momentum or
    none has, and the same for weight decay.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    def __init__(
        self,
        network: Sequential,
        *,
        lr: PerReplica = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: PerReplica = 0.0,
        centered: bool = False,
        weight_decay: PerReplica = 0.0,
        decay: Literal["weights", "all"] = "weights",
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        below_one("alpha", alpha)
        above_zero("eps", eps)
        below_one("momentum", momentum)
        self.momentum = one_a_replica("momentum", momentum, network.replicas)
        self._has_momentum = all_or_none("momentum", self.momentum)
        names = {"square_avg": True, "momentum_buffer": self._has_momentum, "grad_avg": centered}
        super().__init__(
            network,
            [name for name, is_kept in names.items() if is_kept],
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
        )
        self.centered = centered
        self._momentum = column(self.momentum, network.dtype)
        self._alpha, self._rest, self._eps = (np.array(value, network.dtype) for value in (alpha, 1 - alpha, eps))

    def _update(self, block: Block, rate: Array) -> None:
        parameters, g, s = block.parameters, block.gradients, block.scratch
        square_avg = block.state[0]
        np.multiply(square_avg, self._alpha, out=square_avg)
        np.multiply(g, g, out=s)
        np.multiply(s, self._rest, out=s)
        np.add(square_avg, s, out=square_avg)
        np.sqrt(self._variance(block) if self.centered else square_avg, out=s)
        np.add(s, self._eps, out=s)
        np.divide(g, s, out=s)
        if self._has_momentum:
            buffer = block.state[1]
            np.multiply(buffer, block.of(self._momentum), out=buffer)
            np.add(buffer, s, out=buffer)
            np.multiply(buffer, rate, out=s)
        else:
            np.multiply(s, rate, out=s)
        np.subtract(parameters, s, out=parameters)

    def _variance(self, block: Block) -> Array:
        """Advance the mean gradient and return, in the scratch, the mean square less its square."""
        square_avg, grad_avg, s = block.state[0], block.state[-1], block.scratch
        np.subtract(block.gradients, grad_avg, out=s)
        np.multiply(s, self._rest, out=s)
        np.add(grad_avg, s, out=grad_avg)
        np.multiply(grad_avg, grad_avg, out=s)
        np.subtract(square_avg, s, out=s)
        return np.maximum(s, 0, out=s)
