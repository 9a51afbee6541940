"""The engine's counterpart of a network of the reference, and its numbers by the reference's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.data.batches import Part
from nnlab.nn import CrossEntropy, Linear, Loss, Module, Quadratic, ReLU, Sequential, Sigmoid, Tanh
from nnlab.nn.losses import Reduction
from tests.reading import reference
from tests.reading.reference import Network, Parameters, Sample

ACTIVATIONS = {reference.SIGMOID: Sigmoid, reference.TANH: Tanh, reference.RELU: ReLU}
LOSSES: dict[reference.Loss, type[Loss]] = {
    reference.QUADRATIC: Quadratic,
    reference.CROSS_ENTROPY: CrossEntropy,
}


def sequential(network: Network) -> Sequential:
    """A Linear for each layer of the reference, and an activation behind it where it has one."""
    layers: list[Module] = []
    for layer, matrix in network.parameters.W.items():
        layers.append(Linear(len(matrix[0]), len(matrix)))
        activation = network.activations[layer]
        if activation is reference.RELU_WITH_1_AT_0:
            layers.append(ReLU(derivative_at_zero=1))
        elif activation is not reference.IDENTITY:
            layers.append(ACTIVATIONS[activation]())
    made = Sequential(layers, dtype=np.float64)
    numbers = [
        array for layer in network.parameters.W for array in (network.parameters.W[layer], network.parameters.b[layer])
    ]
    made.load_state_dict({name: np.array(array) for name, array in zip(made.state_dict(), numbers, strict=True)})
    return made


def loss(network: Network, reduction: Reduction = "mean") -> Loss:
    return LOSSES[network.loss](reduction=reduction)


def numbers(made: Sequential, flat: NDArray[Any]) -> Parameters:
    """The engine's ``parameters`` or ``gradients`` as the reference has them."""
    arrays = [view[0].tolist() for view in made.views(flat).values()]
    return Parameters(dict(enumerate(arrays[0::2], 1)), dict(enumerate(arrays[1::2], 1)))


def batch(samples: Sequence[Sample]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs and targets, ``[1, features, batch]`` each."""
    x, y = (np.array([sample[place] for sample in samples]).T[None] for place in (0, 1))
    return x, y


def part(samples: Sequence[Sample]) -> Part:
    """The samples, whose targets must be one-hot, as a part of a data set."""
    x, y = (np.array([sample[place] for sample in samples]) for place in (0, 1))
    return Part(x, y.argmax(axis=1), y.shape[1], np.arange(len(samples))[None])
