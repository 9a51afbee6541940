"""Adagrad: steps scaled by the sum of the gradient's squares so far."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential
from nnlab.optim.blocks import Array, Block
from nnlab.optim.optimizer import Optimizer
from nnlab.optim.ranges import PerReplica, above_zero, at_least_zero


class Adagrad(Optimizer):
    """Update t = 1, 2 ...: w = w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps), with s = s + g^2.

    g = dC/dw + weight_decay w, and s starts at ``initial_accumulator_value``.

    Duchi, Hazan & Singer 2011; ``torch.optim.Adagrad``.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        lr_decay: at least 0.
        eps: above 0.
        initial_accumulator_value: at least 0.
        weight_decay: at least 0; L2, added to the gradient.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        clip_value: see ``Optimizer``.
        clip_norm: see ``Optimizer``.

    ``lr`` and ``weight_decay`` may be one number a replica. The learning rates that ``step`` returns are without
    ``lr_decay``.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    counts_steps = True

    def __init__(
        self,
        network: Sequential,
        *,
        lr: PerReplica = 0.01,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        initial_accumulator_value: float = 0.0,
        weight_decay: PerReplica = 0.0,
        decay: Literal["weights", "all"] = "weights",
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        at_least_zero("lr_decay", lr_decay)
        above_zero("eps", eps)
        at_least_zero("initial_accumulator_value", initial_accumulator_value)
        super().__init__(
            network,
            ["sum"],
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
        )
        self.lr_decay = lr_decay
        self._eps = np.array(eps, network.dtype)
        self.state["sum"].fill(initial_accumulator_value)

    def _rates(self, lr: NDArray[np.float64]) -> NDArray[np.float64]:
        return lr / (1 + (self.steps - 1) * self.lr_decay)

    def _update(self, block: Block, rate: Array) -> None:
        parameters, g, s = block.parameters, block.gradients, block.scratch
        (total,) = block.state
        np.multiply(g, g, out=s)
        np.add(total, s, out=total)
        np.sqrt(total, out=s)
        np.add(s, self._eps, out=s)
        np.divide(g, s, out=s)
        np.multiply(s, rate, out=s)
        np.subtract(parameters, s, out=parameters)
