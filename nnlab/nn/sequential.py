"""Sequential: layers one after the other, for a stack of replicas."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.nn.module import Array, Module

Initializer = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]

_ALIGNMENT = 64  # bytes: a cache line, and the widest SIMD register


def without_spurious_warnings() -> np.errstate:
    """Return what products outside of training are to be in.

    OpenBLAS also computes in what lies beside a small matrix, on whatever is there, and NumPy then warns of invalid
    values although the result is right.
    """
    return np.errstate(invalid="ignore")


class Sequential:
    """A chain of modules whose parameters lie side by side in one array a stack.

    ``parameters`` and ``gradients`` are ``[replicas, size]``; what the layers work on are views of them. So an
    optimiser updates the whole network with a few calls, however many layers there are. Arrays of two and more
    dimensions come first, then biases: ``parameters[:, :weight_size]`` is what weight decay acts on. Each view starts
    at a cache line; the gaps stay 0. ``state`` is the same for what layers keep without training it (running means).

    Args:
        layers: the modules; parameters are named by position as in ``torch.nn.Sequential``: ``0.weight``, ``0.bias``,
            ``2.weight`` ...
        replicas: how many networks train side by side.
        dtype: float32 or float64.
        rngs: one generator a replica for layers that draw (dropout).
    """

    def __init__(
        self,
        layers: Sequence[Module],
        *,
        replicas: int = 1,
        dtype: DTypeLike = np.float32,
        rngs: Sequence[np.random.Generator] = (),
    ) -> None:
        self.layers = list(layers)
        self.replicas = replicas
        self.dtype = np.dtype(dtype)
        self._places, self.weight_size, size = _lay_out(_shapes(layers, "parameter_shapes"), self.dtype)
        self._state_places, _, state_size = _lay_out(_shapes(layers, "state_shapes"), self.dtype)
        self.parameters: Array = np.zeros((replicas, size), self.dtype)
        self.gradients: Array = np.zeros((replicas, size), self.dtype)
        self.state: Array = np.zeros((replicas, state_size), self.dtype)
        arrays = self._arrays
        gradient_views = self.views(self.gradients)
        for position, layer in enumerate(self.layers):
            layer.bind(
                {name: arrays[f"{position}.{name}"] for name in layer.parameter_shapes},
                {name: gradient_views[f"{position}.{name}"] for name in layer.parameter_shapes},
                {name: arrays[f"{position}.{name}"] for name in layer.state_shapes},
            )
            layer.rngs = rngs
            for name, value in layer.initial.items():
                arrays[f"{position}.{name}"][...] = value

    def train(self, mode: bool = True) -> None:
        """Tell the layers whether the next ``forward`` is a training step's; as PyTorch's ``train`` and ``eval``."""
        for layer in self.layers:
            layer.training = mode

    def eval(self) -> None:
        """Tell the layers that the next ``forward`` is an evaluation: no dropout, running means."""
        self.train(False)

    def forward(self, x: Array) -> Array:
        """Map inputs ``[replicas or 1, in, batch]`` to outputs ``[replicas, out, batch]``."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad: Array, *, input_grad: bool = False) -> Array | None:
        """Fill ``gradients`` from ``grad`` = dC/doutputs of the last ``forward``; return dC/dinputs on request."""
        current: Array | None = grad
        for position in range(len(self.layers) - 1, -1, -1):
            if current is None:  # nothing to learn before here
                break
            current = self.layers[position].backward(current, input_grad=input_grad or position > self._first)
        return current

    def initialize(
        self,
        replica: int,
        rng: np.random.Generator,
        weight: Initializer,
        bias: Initializer,
        *,
        own: Mapping[int, Initializer] | None = None,
    ) -> None:
        """Draw one replica's parameters, layer by layer, the weight before the bias.

        Args:
            replica: which.
            rng: its own stream.
            weight: for arrays of two and more dimensions.
            bias: for arrays of one dimension.
            own: position of a layer -> the initialiser of its weight instead of ``weight``.
        """
        for name, view in self.views(self.parameters).items():
            position, _, kind = name.partition(".")
            if kind in self.layers[int(position)].initial:
                continue
            parameter = view[replica]
            draw = bias if parameter.ndim == 1 else (own or {}).get(int(position), weight)
            parameter[...] = draw(rng, parameter.shape)

    def state_dict(self, replica: int = 0) -> dict[str, Array]:
        """Return one replica's parameters and state by PyTorch's names and in its order, as views: copy to keep."""
        return {name: array[replica] for name, array in self._arrays.items()}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], replica: int = 0) -> None:
        """Copy arrays by name into one replica.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs.
        """
        own = self.state_dict(replica)
        if own.keys() != state.keys():
            raise ValueError(f"the network has parameters {', '.join(own)}; given were {', '.join(state)}")
        for name, parameter in own.items():
            if parameter.shape != state[name].shape:
                raise ValueError(f"{name} has shape {list(parameter.shape)}; given was {list(state[name].shape)}")
            parameter[...] = state[name]

    def views(self, flat: Array) -> dict[str, Array]:
        """Cut an array ``[replicas, size]`` laid out like ``parameters`` into ``{name: [replicas, *shape]}``."""
        return _cut(flat, self._places)

    def first_nonfinite(self, replica: int) -> str | None:
        """Name the first layer whose parameters or state hold NaN or Inf; None if all are finite."""
        for name, parameter in self.state_dict(replica).items():
            if not np.isfinite(parameter).all():
                position, _, kind = name.partition(".")
                return f"layer {position}, {self.layers[int(position)]!r}, {kind}"
        return None

    def largest(self, replica: int) -> int:
        """Return the position of the layer that has the largest parameter in size."""
        sizes = {name: float(np.abs(parameter).max()) for name, parameter in self.state_dict(replica).items()}
        return int(max(sizes, key=sizes.__getitem__).partition(".")[0])

    @functools.cached_property
    def _first(self) -> int:
        """Position of the first layer that has parameters: dC/dinput is needed after it only."""
        return next((n for n, layer in enumerate(self.layers) if layer.parameter_shapes), len(self.layers))

    @functools.cached_property
    def _arrays(self) -> dict[str, Array]:
        """Parameters and state by name, a layer's together, as views ``[replicas, *shape]`` each."""
        arrays = _cut(self.parameters, self._places) | _cut(self.state, self._state_places)
        return {name: arrays[name] for name in sorted(arrays, key=lambda name: int(name.partition(".")[0]))}


Places = dict[str, tuple[int, tuple[int, ...]]]
"""Name -> (start, shape) in the flat array, in PyTorch's order."""


def _cut(flat: Array, places: Places) -> dict[str, Array]:
    return {
        name: flat[:, start : start + math.prod(shape)].reshape(len(flat), *shape)
        for name, (start, shape) in places.items()
    }


def _shapes(layers: Sequence[Module], kind: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{position}.{name}": shape
        for position, layer in enumerate(layers)
        for name, shape in getattr(layer, kind).items()
    }


def _lay_out(shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any]) -> tuple[Places, int, int]:
    """Return each array's place, the size of the weights' part and the whole size."""
    starts: dict[str, int] = {}
    end = weight_size = 0
    for name in _weights_first(shapes):
        starts[name] = end
        per_line = _ALIGNMENT // dtype.itemsize
        end += math.ceil(math.prod(shapes[name]) / per_line) * per_line
        if len(shapes[name]) > 1:
            weight_size = end
    return {name: (starts[name], shape) for name, shape in shapes.items()}, weight_size, end


def _weights_first(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    yield from (name for name, shape in shapes.items() if len(shape) > 1)
    yield from (name for name, shape in shapes.items() if len(shape) == 1)
