"""Module: one layer of a network, for a stack of replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.scratch import Scratch

Array = NDArray[np.floating[Any]]


class Module:
    """A layer: ``forward`` maps its input to its output, ``backward`` maps dC/doutput to dC/dinput.

    Every array is ``[replicas, features, batch]``, images ``[replicas, channels, height, width, batch]``: a lone
    network is a stack of one, and the batch is last so that elementwise work and reductions over classes run along long
    contiguous lines. The leading axis of an *input* may be 1, when all replicas look at the same samples.

    A module owns its buffers (``self.buffer(name, shape, dtype)``) and reuses them: what ``forward`` or ``backward``
    returned is overwritten by the next call, so whoever wants to keep it takes a copy.
    """

    parameter_shapes: Mapping[str, tuple[int, ...]] = {}
    """Shape of each parameter of one replica, e.g. ``{"weight": (out, in), "bias": (out,)}``; empty for most layers."""

    state_shapes: Mapping[str, tuple[int, ...]] = {}
    """Shape of what a replica keeps besides parameters, saved with them but not trained: running means."""

    initial: Mapping[str, float] = {}
    """Parameters and state that start at a constant of the layer's own instead of the initialiser's draw."""

    training: bool = True
    """Whether ``forward`` is a training step's: what dropout and batch normalisation ask. Set by ``Sequential``."""

    rngs: Sequence[np.random.Generator] = ()
    """One generator a replica, for layers that draw. Set by ``Sequential``."""

    def __init__(self) -> None:
        self.buffer = Scratch()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def bind(self, parameters: Mapping[str, Array], gradients: Mapping[str, Array], state: Mapping[str, Array]) -> None:
        """Take the arrays to work on, ``[replicas, *parameter_shapes[name]]`` each, owned by the network."""
        for name, array in {**parameters, **state}.items():
            setattr(self, name, array)
        for name, gradient in gradients.items():
            setattr(self, f"{name}_grad", gradient)

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
