"""Diagnostics: what happens inside a network while it learns, as metrics an epoch, on request."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nnlab.data.batches import EVALUATED, Part
from nnlab.nn.activations import ReLU
from nnlab.nn.module import Array
from nnlab.nn.sequential import Sequential
from nnlab.training.result import Values

_CHUNKS = 2048 // EVALUATED

Diagnostic = Literal["grad_norm", "weight_norm", "update_ratio", "dead_relu"]


class Diagnostics:
    """Measures at the last update of each epoch, without touching the training.

    The metrics end in the layer's position in the network, as in its parameters' names:

    - ``grad_norm/0``: Euclidean norm of dC/d(weight and bias) of the last batch, as the optimiser gets it.
    - ``weight_norm/0``: norm of the weight after the update.
    - ``update_ratio/0``: norm of the weight's last change over its norm before; about 1e-3 is usual.
    - ``dead_relu/1``: share of a ReLU's units that are 0 for every one of the first samples of the training part (2,048
      at most).

    Args:
        kinds: which of them.
        network: to look into.
        part: the training part.

    Raises:
        ValueError: there is no such diagnostic.
    """

    def __init__(self, kinds: Iterable[Diagnostic], network: Sequential, part: Part) -> None:
        self.kinds = frozenset(kinds)
        if unknown := self.kinds - set(get_args(Diagnostic)):
            raise ValueError(f"there is no diagnostic {min(unknown)!r}; choose from {', '.join(get_args(Diagnostic))}")
        self.network, self.part = network, part
        self._metrics: dict[str, Values] = {}
        self._before: dict[str, Array] = {}

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def names(self) -> list[str]:
        """Return the names of the metrics that there will be."""
        positions = {name.partition(".")[0]: None for name in self.network.views(self.network.parameters)}
        places = {
            "grad_norm": list(positions),
            "weight_norm": list(self._weights()),
            "update_ratio": list(self._weights()),
            "dead_relu": [str(n) for n, layer in enumerate(self.network.layers) if isinstance(layer, ReLU)],
        }
        return [f"{kind}/{place}" for kind in places if kind in self.kinds for place in places[kind]]

    def before_update(self, gradient_scale: Values | None) -> None:
        """Look at the gradients and keep the weights.

        Args:
            gradient_scale: ``[replicas]``, the factor that the gradients carry; None for none.
        """
        self._metrics = {}
        if "grad_norm" in self.kinds:
            squares: dict[str, Values] = {}
            for name, gradient in self.network.views(self.network.gradients).items():
                position = name.partition(".")[0]
                squares[position] = squares.get(position, np.zeros(len(gradient))) + _square_sum(gradient)
            for position, square in squares.items():
                norm = np.sqrt(square)
                self._metrics[f"grad_norm/{position}"] = norm if gradient_scale is None else norm / gradient_scale
        if "update_ratio" in self.kinds:
            self._before = {position: weight.copy() for position, weight in self._weights().items()}

    def after_update(self) -> None:
        """Look at the weights."""
        for position, weight in self._weights().items():
            if "weight_norm" in self.kinds:
                self._metrics[f"weight_norm/{position}"] = np.sqrt(_square_sum(weight))
            if "update_ratio" in self.kinds:
                before = self._before[position]
                moved = np.sqrt(_square_sum(weight - before))
                self._metrics[f"update_ratio/{position}"] = moved / np.sqrt(_square_sum(before))

    def metrics(self) -> dict[str, Values]:
        """Return the epoch's metrics, ``[replicas]`` each."""
        if "dead_relu" in self.kinds:
            self._metrics |= self._dead_relus()
        return self._metrics

    def _dead_relus(self) -> dict[str, Values]:
        self.network.eval()
        is_alive: dict[int, NDArray[np.bool_]] = {}
        for batch in itertools.islice(self.part.chunks(), _CHUNKS):
            x = batch.x
            for position, layer in enumerate(self.network.layers):
                x = layer.forward(x)
                if isinstance(layer, ReLU):
                    is_on = np.any(x > 0, axis=-1).reshape(len(x), -1)
                    is_alive[position] = is_alive.get(position, False) | is_on
        return {f"dead_relu/{position}": 1 - np.mean(alive, axis=1) for position, alive in is_alive.items()}

    def _weights(self) -> dict[str, Array]:
        named = self.network.views(self.network.parameters).items()
        return {name.removesuffix(".weight"): view for name, view in named if name.endswith(".weight")}


def _square_sum(array: Array) -> NDArray[np.float64]:
    """Sum of squares of each replica, ``[replicas]``."""
    flat = array.reshape(len(array), -1)
    total: NDArray[np.float64] = np.add.reduce(flat * flat, axis=1, dtype=np.float64)
    return total
