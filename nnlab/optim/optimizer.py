"""Optimizer: what every optimiser shares - learning rates, clipping, weight decay, the way through the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.nn.sequential import Sequential
from nnlab.optim import clipping
from nnlab.optim.blocks import Array, Block, column, cut
from nnlab.optim.ranges import PerReplica, above_zero, all_or_none, at_least_zero, one_a_replica


class Optimizer:
    """Updates a network's ``parameters`` from its ``gradients``: all layers at once, each replica with its own lr.

    An update clips the gradients (by value, then by norm), lets the weights decay, and hands block after block to the
    subclass's ``_update``. By default weight decay adds weight_decay w to the clipped gradient (L2).

    Args:
        network: whose ``parameters`` are updated from its ``gradients``; the latter may be overwritten.
        state: names of the arrays, like ``parameters`` and 0 at first, that the subclass keeps between updates.
        lr: learning rate, above 0.
        weight_decay: at least 0.
        decay: ``weights`` leaves biases alone, ``all`` is PyTorch's.
        clip_value: each gradient is moved into [-clip_value, clip_value]; None for no clipping.
        clip_norm: a replica's gradients are scaled down to this L2 norm over all layers; None for no clipping.

    ``lr`` and ``weight_decay`` may be one number a replica. In one stack all replicas have weight decay or none has:
    then a replica does the same arithmetic as it would alone.

    Raises:
        ValueError: a setting is out of range, or the replicas can't share a stack.
    """

    counts_steps: bool = False
    """Whether an update depends on how many there have been: then ``step`` is part of the state."""

    def __init__(
        self,
        network: Sequential,
        state: Sequence[str],
        *,
        lr: PerReplica,
        weight_decay: PerReplica,
        decay: Literal["weights", "all"],
        clip_value: float | None,
        clip_norm: float | None,
    ) -> None:
        above_zero("lr", lr)
        at_least_zero("weight_decay", weight_decay)
        for name, limit in (("clip_value", clip_value), ("clip_norm", clip_norm)):
            if limit is not None:
                above_zero(name, limit)
        self.network = network
        self.lr = one_a_replica("lr", lr, network.replicas)
        self.weight_decay = one_a_replica("weight_decay", weight_decay, network.replicas)
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.steps = 0
        self.state: dict[str, Array] = {name: np.zeros_like(network.parameters) for name in state}
        self._has_decay = all_or_none("weight_decay", self.weight_decay)
        self._weight_decay = column(self.weight_decay, network.dtype)
        size = network.parameters.shape[1]
        decayed_size = network.weight_size if decay == "weights" else size
        self._blocks = cut(network.parameters, network.gradients, list(self.state.values()), decayed_size)
        self._squares = None if clip_norm is None else np.empty_like(network.gradients)

    @property
    def folds(self) -> bool:
        """Whether an update is linear in lr times the raw gradient alone, so that lr may be folded into the loss."""
        return False

    def learning_rates(self, multiplier: float | NDArray[np.float64] = 1.0) -> NDArray[np.float64]:
        """Return lr times the schedule's multiplier (one number, or one a replica), ``[replicas]``."""
        return self.lr * multiplier

    def step(self, multiplier: float | NDArray[np.float64] = 1.0, *, folded: bool = False) -> NDArray[np.float64]:
        """Update the parameters once, and return the learning rates used, ``[replicas]``.

        Args:
            multiplier: of ``lr``, from the schedule; one number, or one a replica, ``[replicas]``.
            folded: the gradients have been multiplied by ``learning_rates(multiplier)`` already.

        Raises:
            ValueError: ``folded`` where the optimiser does not fold.
        """
        lr = self.learning_rates(multiplier)
        self.steps += 1
        if folded:
            self._folded_step()
            return lr
        gradients = self.network.gradients
        if self.clip_value is not None:
            clipping.clip_value(gradients, self.clip_value)
        if self.clip_norm is not None and self._squares is not None:
            clipping.clip_norm(gradients, self.clip_norm, self._squares)
        decay_by = self._decay_by(lr) if self._has_decay else None
        rate = column(self._rates(lr), self.network.dtype)
        for block in self._blocks:
            if decay_by is not None:
                self._decay(block, block.of(decay_by))
            self._update(block, block.of(rate))
        return lr

    def state_dict(self, replica: int = 0) -> dict[str, NDArray[Any]]:
        """Return one replica's arrays, ``exp_avg.0.weight`` ..., as views, and the count ``step`` where it matters."""
        arrays: dict[str, NDArray[Any]] = {"step": np.array(self.steps, np.int64)} if self.counts_steps else {}
        for kind, flat in self.state.items():
            arrays |= {f"{kind}.{name}": view[replica] for name, view in self.network.views(flat).items()}
        return arrays

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], replica: int = 0) -> None:
        """Copy what ``state_dict`` gave into one replica; the count ``step`` is the whole stack's.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs.
        """
        own = self.state_dict(replica)
        if own.keys() != state.keys():
            raise ValueError(
                f"the optimiser has {', '.join(own) or 'no arrays'}; given were {', '.join(state) or 'none'}"
            )
        for name, array in own.items():
            if array.shape != state[name].shape:
                raise ValueError(f"{name} has shape {list(array.shape)}; given was {list(state[name].shape)}")
        for name, array in own.items():
            array[...] = state[name]
        if self.counts_steps:
            self.steps = int(own["step"])

    def _rates(self, lr: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what ``_update`` is to scale its direction by, ``[replicas]``; called once an update."""
        return lr

    def _update(self, block: Block, rate: Array) -> None:
        """Update one block's parameters and state from its gradients; ``rate`` is ``[]`` or ``[rows, 1]``."""
        raise NotImplementedError(type(self).__name__)

    def _decay_by(self, lr: NDArray[np.float64]) -> Array:  # noqa: ARG002 - decoupled decay needs it
        return self._weight_decay

    def _decay(self, block: Block, by: Array) -> None:
        parameters, gradients, scratch = block.decayed
        np.multiply(parameters, by, out=scratch)
        np.add(gradients, scratch, out=gradients)

    def _folded_step(self) -> None:
        raise ValueError(f"{type(self).__name__} can't take gradients that carry the learning rate")
