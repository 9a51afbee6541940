"""Module: one layer of a network, for a stack of replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Module:
    """A layer: ``forward`` maps its input to its output, ``backward`` maps dC/doutput to dC/dinput.

    Every array is ``[replicas, features, batch]``: a lone network is a stack of one, and the batch is last so that
    elementwise work and reductions over classes run along long contiguous lines. The leading axis of an *input* may
    be 1, when all replicas look at the same samples.

    A module owns its buffers and reuses them: what ``forward`` or ``backward`` returned is overwritten by the next
    call with the same batch size, so whoever wants to keep it takes a copy.
    """

    parameter_shapes: Mapping[str, tuple[int, ...]] = {}
    """Shape of each parameter of one replica, e.g. ``{"weight": (out, in), "bias": (out,)}``; empty for most layers."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, tuple[int, ...], Any], NDArray[Any]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def bind(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Take the arrays to work on, ``[replicas, *parameter_shapes[name]]`` each, owned by the network."""
        for name, parameter in parameters.items():
            setattr(self, name, parameter)
            setattr(self, f"{name}_grad", gradients[name])

    def forward(self, x: Array) -> Array:
        """Map ``[replicas, in, batch]`` to ``[replicas, out, batch]``, keeping what ``backward`` needs."""
        raise NotImplementedError(type(self).__name__)

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Fill the parameters' gradients from ``grad`` = dC/doutput and return dC/dinput.

        Args:
            grad: ``[replicas, out, batch]``; may be overwritten.
            input_grad: without it dC/dinput is not computed and None is returned (nobody needs it for the first layer).
        """
        raise NotImplementedError(type(self).__name__)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return this module's own uninitialised array of that name, shape and dtype: allocated once, then reused."""
        key = (name, shape, dtype)
        array = self._buffers.get(key)
        if array is None:
            array = self._buffers[key] = np.empty(shape, dtype)
        return array
