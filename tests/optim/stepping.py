"""Networks whose gradients are drawn: what they come from is no concern of an optimiser."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.nn import Linear, Sequential, Tanh
from nnlab.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

Gradients = list[dict[str, NDArray[Any]]]
R = 3

EVERY: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd": (SGD, {"lr": 0.1}),
    "momentum": (SGD, {"lr": 0.05, "momentum": 0.9}),
    "nesterov": (SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "caffe": (SGD, {"lr": 0.05, "momentum": 0.9, "velocity": "lr_inside"}),
    "caffe-nesterov": (SGD, {"lr": 0.05, "momentum": 0.9, "velocity": "lr_inside", "nesterov": True}),
    "adam": (Adam, {"lr": 0.1}),
    "adamw": (AdamW, {"lr": 0.1}),
    "rmsprop": (RMSprop, {"lr": 0.03}),
    "rmsprop-momentum": (RMSprop, {"lr": 0.005, "momentum": 0.9}),
    "rmsprop-centered": (RMSprop, {"lr": 0.01, "centered": True, "momentum": 0.5}),
    "adagrad": (Adagrad, {"lr": 1.0}),
    "adagrad-decay": (Adagrad, {"lr": 4.0, "lr_decay": 0.001, "initial_accumulator_value": 0.1}),
}
"""Every way of updating, with a learning rate that suits ``(w - target)^2``."""


def a_network(replicas: int = R, dtype: Any = np.float64, seed: int = 0) -> Sequential:
    """Each replica's parameters are drawn from its own seed."""
    network = Sequential([Linear(3, 2), Tanh(), Linear(2, 3)], replicas=replicas, dtype=dtype)
    for replica in range(replicas):
        rng = np.random.default_rng([seed, replica])
        for parameter in network.state_dict(replica).values():
            parameter[...] = rng.normal(size=parameter.shape)
    return network


def run(
    network: Sequential, optimizer: Optimizer, multipliers: Sequence[Any], seeds: Sequence[Any] | None = None
) -> Gradients:
    """Step with random gradients, and return them; each replica's are drawn from its own seed."""
    own = [[1, replica] for replica in range(network.replicas)] if seeds is None else seeds
    rngs, used = [np.random.default_rng(seed) for seed in own], Gradients()
    for multiplier in multipliers:
        used.append({})
        for name, view in network.views(network.gradients).items():
            for rng, gradient in zip(rngs, view, strict=True):
                gradient[...] = rng.normal(size=gradient.shape)
            used[-1][name] = view.copy()
        optimizer.step(multiplier)
    return used


def used_places(network: Sequential) -> NDArray[np.bool_]:
    """Return where ``parameters`` belongs to a layer, ``[replicas, size]``; the rest are gaps."""
    places = np.zeros(network.parameters.shape, bool)
    for view in network.views(places).values():
        view[...] = True
    return places
