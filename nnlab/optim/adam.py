"""Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential
from nnlab.optim.blocks import Array, Block
from nnlab.optim.optimizer import Optimizer
from nnlab.optim.ranges import PerReplica, above_zero, below_one


class Adam(Optimizer):
    """Update t = 1, 2 ...: w = w - lr m' / (sqrt(v') + eps), with the gradient's moments, their bias corrected.

    g = dC/dw + weight_decay w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    m' = m / (1 - beta1^t); v' = v / (1 - beta2^t).

    Kingma & Ba 2015, algorithm 1; ``torch.optim.Adam`` with ``betas=(beta1, beta2)``.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        beta1: in [0, 1).
        beta2: in [0, 1).
        eps: above 0.
        weight_decay: at least 0; L2, added to the gradient.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        clip_value: see ``Optimizer``.
        clip_norm: see ``Optimizer``.

    ``lr`` and ``weight_decay`` may be one number a replica.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    counts_steps = True

    def __init__(
        self,
        network: Sequential,
        *,
        lr: PerReplica = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: PerReplica = 0.0,
        decay: Literal["weights", "all"] = "weights",
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        below_one("beta1", beta1)
        below_one("beta2", beta2)
        above_zero("eps", eps)
        super().__init__(
            network,
            ["exp_avg", "exp_avg_sq"],
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
        )
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        # NumPy takes an array [] of its own dtype in half the time that a Python float takes.
        self._beta2, self._rest1, self._rest2, self._scaled_eps = (
            np.array(value, network.dtype) for value in (beta2, 1 - beta1, 1 - beta2, eps)
        )

    def _rates(self, lr: NDArray[np.float64]) -> NDArray[np.float64]:
        # lr m' / (sqrt(v') + eps) with both numerator and denominator times root: one pass over v less.
        root: float = (1 - self.beta2**self.steps) ** 0.5
        self._scaled_eps = np.array(self.eps * root, self.network.dtype)
        return lr * (root / (1 - self.beta1**self.steps))

    def _update(self, block: Block, rate: Array) -> None:
        parameters, g, s = block.parameters, block.gradients, block.scratch
        m, v = block.state
        np.subtract(g, m, out=s)
        np.multiply(s, self._rest1, out=s)
        np.add(m, s, out=m)
        np.multiply(v, self._beta2, out=v)
        np.multiply(g, g, out=s)
        np.multiply(s, self._rest2, out=s)
        np.add(v, s, out=v)
        np.sqrt(v, out=s)
        np.add(s, self._scaled_eps, out=s)
        np.divide(m, s, out=s)
        np.multiply(s, rate, out=s)
        np.subtract(parameters, s, out=parameters)
