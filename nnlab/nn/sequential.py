"""Sequential: layers one after the other, for a stack of replicas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.nn.module import Array, Module

Initializer = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]

_ALIGNMENT = 64  # bytes: a cache line, and the widest SIMD register


class Sequential:
    """A chain of modules whose parameters lie side by side in one array a stack.

    ``parameters`` and ``gradients`` are ``[replicas, size]``; what the layers work on are views of them. So an
    optimiser updates the whole network with a few calls, however many layers there are. Weights come first, then
    biases: ``parameters[:, :weight_size]`` is what weight decay acts on. Each view starts at a cache line; the gaps
    stay 0.

    Args:
        layers: the modules; parameters are named by position as in ``torch.nn.Sequential``: ``0.weight``, ``0.bias``,
            ``2.weight`` ...
        replicas: how many networks train side by side.
        dtype: float32 or float64.
    """

    def __init__(self, layers: Sequence[Module], *, replicas: int = 1, dtype: DTypeLike = np.float32) -> None:
        self.layers = list(layers)
        self.replicas = replicas
        self.dtype = np.dtype(dtype)
        self._places, self.weight_size, size = _lay_out(self.layers, self.dtype)
        self.parameters: Array = np.zeros((replicas, size), self.dtype)
        self.gradients: Array = np.zeros((replicas, size), self.dtype)
        parameter_views, gradient_views = self.views(self.parameters), self.views(self.gradients)
        for position, layer in enumerate(self.layers):
            names = {name: f"{position}.{name}" for name in layer.parameter_shapes}
            layer.bind(
                {name: parameter_views[key] for name, key in names.items()},
                {name: gradient_views[key] for name, key in names.items()},
            )

    def forward(self, x: Array) -> Array:
        """Map inputs ``[replicas or 1, in, batch]`` to outputs ``[replicas, out, batch]``."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, grad: Array, *, input_grad: bool = False) -> Array | None:
        """Fill ``gradients`` from ``grad`` = dC/doutputs of the last ``forward``; return dC/dinputs on request."""
        current: Array | None = grad
        for position in range(len(self.layers) - 1, -1, -1):
            assert current is not None  # noqa: S101 - only the first layer may leave it out
            current = self.layers[position].backward(current, input_grad=input_grad or position > 0)
        return current

    def initialize(self, replica: int, rng: np.random.Generator, weight: Initializer, bias: Initializer) -> None:
        """Draw one replica's parameters, layer by layer, the weight before the bias.

        Args:
            replica: which.
            rng: its own stream.
            weight: for arrays of two and more dimensions.
            bias: for arrays of one dimension.
        """
        for parameter in self.state_dict(replica).values():
            parameter[...] = (bias if parameter.ndim == 1 else weight)(rng, parameter.shape)

    def state_dict(self, replica: int = 0) -> dict[str, Array]:
        """Return one replica's parameters by PyTorch's names and in its order, as views: copy what is to be kept."""
        return {name: view[replica] for name, view in self.views(self.parameters).items()}

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
        return {
            name: flat[:, start : start + math.prod(shape)].reshape(len(flat), *shape)
            for name, (start, shape) in self._places.items()
        }

    def first_nonfinite(self, replica: int) -> str | None:
        """Name the first layer whose parameters hold NaN or Inf; None if all are finite."""
        for name, parameter in self.state_dict(replica).items():
            if not np.isfinite(parameter).all():
                position, _, kind = name.partition(".")
                return f"layer {position}, {self.layers[int(position)]!r}, {kind}"
        return None


def _lay_out(layers: Sequence[Module], dtype: np.dtype[Any]) -> tuple[dict[str, tuple[int, tuple[int, ...]]], int, int]:
    """Return each parameter's (start, shape) in PyTorch's order, the size of the weights' part and the whole size."""
    shapes = {
        f"{position}.{name}": shape
        for position, layer in enumerate(layers)
        for name, shape in layer.parameter_shapes.items()
    }
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
