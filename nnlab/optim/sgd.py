"""SGD: stochastic gradient descent, with momentum and weight decay."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nnlab.nn.sequential import Sequential
from nnlab.optim.blocks import Array, Block, column
from nnlab.optim.optimizer import Optimizer
from nnlab.optim.ranges import PerReplica, all_or_none, below_one, one_a_replica


class SGD(Optimizer):
    """One update: g = dC/dw + weight_decay w; v = momentum v + g; w = w - lr v.

    With ``nesterov`` the step is taken along g + momentum v instead of v. ``velocity`` says where the learning rate
    stands when it changes from update to update: ``lr_outside`` is the above, as in ``torch.optim.SGD``; ``lr_inside``
    is Caffe's v = momentum v + lr g; w = w - v. While lr is constant both are the same.

    Args:
        network: whose ``parameters`` are updated from its ``gradients``.
        lr: learning rate, above 0.
        momentum: in [0, 1).
        weight_decay: at least 0.
        nesterov: look ahead; needs momentum.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        velocity: ``lr_outside`` or ``lr_inside``.
        clip_value: see ``Optimizer``.
        clip_norm: see ``Optimizer``.

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
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        below_one("momentum", momentum)
        self.momentum = one_a_replica("momentum", momentum, network.replicas)
        self._has_momentum = all_or_none("momentum", self.momentum)
        if nesterov and not self._has_momentum:
            raise ValueError("nesterov needs a momentum above 0")
        super().__init__(
            network,
            ["velocity"] if self._has_momentum else [],
            lr=lr,
            weight_decay=weight_decay,
            decay=decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
        )
        self.nesterov, self.lr_inside = nesterov, velocity == "lr_inside"
        self._momentum = column(self.momentum, network.dtype)

    @property
    def folds(self) -> bool:
        """True without momentum, weight decay and clipping."""
        is_clipping = self.clip_value is not None or self.clip_norm is not None
        return not (self._has_momentum or self._has_decay or is_clipping)

    def _folded_step(self) -> None:
        if not self.folds:
            super()._folded_step()
        np.subtract(self.network.parameters, self.network.gradients, out=self.network.parameters)

    def _update(self, block: Block, rate: Array) -> None:
        parameters, g, s = block.parameters, block.gradients, block.scratch
        if not self._has_momentum:
            np.multiply(g, rate, out=s)
            np.subtract(parameters, s, out=parameters)
            return
        (v,), momentum = block.state, block.of(self._momentum)
        if self.lr_inside:
            np.multiply(g, rate, out=g)
        np.multiply(v, momentum, out=v)
        np.add(v, g, out=v)
        along = v
        if self.nesterov:
            np.multiply(v, momentum, out=s)
            along = np.add(s, g, out=s)
        if not self.lr_inside:
            along = np.multiply(along, rate, out=s)
        np.subtract(parameters, along, out=parameters)
