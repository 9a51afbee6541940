"""AdamW: Adam whose weight decay does not pass through the moments."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential
from nnlab.optim.adam import Adam
from nnlab.optim.blocks import Array, Block, column
from nnlab.optim.ranges import PerReplica


class AdamW(Adam):
    """One update: w = w (1 - lr weight_decay), then Adam's without weight decay.

    Loshchilov & Hutter 2019; ``torch.optim.AdamW`` with ``betas=(beta1, beta2)``.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        beta1: in [0, 1).
        beta2: in [0, 1).
        eps: above 0.
        weight_decay: at least 0.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        clip_value: see ``Optimizer``.
        clip_norm: see ``Optimizer``.

    ``lr`` and ``weight_decay`` may be one number a replica.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    def __init__(
        self,
        network: Sequential,
        *,
        lr: PerReplica = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: PerReplica = 0.01,
        decay: Literal["weights", "all"] = "weights",
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(
            network,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=weight_decay,
            decay=decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
        )

    def _decay_by(self, lr: NDArray[np.float64]) -> Array:
        return column(1 - lr * self.weight_decay, self.network.dtype)

    def _decay(self, block: Block, by: Array) -> None:
        parameters = block.decayed[0]
        np.multiply(parameters, by, out=parameters)
