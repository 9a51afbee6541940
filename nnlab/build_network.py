"""Building the network: from a config's architecture, activations and initialisers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.components import Component
from nnlab.config import Architecture, Config
from nnlab.data.dataset import Dataset
from nnlab.errors import NnlabError
from nnlab.nn.module import Module
from nnlab.nn.sequential import Sequential


def build_network(
    config: Config, dataset: Dataset, replicas: int = 1, rngs: Sequence[np.random.Generator] = ()
) -> Sequential:
    """Return the network of a config, its parameters not drawn yet."""
    outputs = network_outputs(config, dataset)
    layers = build_layers(config.architecture, config.activation, dataset.features, outputs)
    return Sequential(layers, replicas=replicas, dtype=config.training.dtype, rngs=rngs)


def build_layers(
    architecture: Architecture, activation: Component, in_features: int, out_features: int
) -> list[Module]:
    """Return the layers that an architecture's config describes.

    Raises:
        NnlabError: the architecture refuses, gives something else than layers, or a position is no activation's.
    """
    activations: list[Module] = []

    def activate(build: Callable[[], Module]) -> Module:
        activations.append(build())
        return activations[-1]

    layers: list[Module] = architecture.build(
        "architecture",
        in_features,
        out_features,
        functools.partial(activate, activation.factory("activation")),
        functools.partial(activate, architecture.output_activation.factory("architecture.output_activation")),
    )
    for layer in layers:
        if not isinstance(layer, Module):
            raise NnlabError(f"{layer!r} is no layer: the architecture and its activations must give Modules")
    places = [n for n, layer in enumerate(layers) if any(layer is each for each in activations)]
    for key, component in architecture.activations.items():
        where = f"architecture.activations.{key}"
        layers[_position(where, key, places)] = component.build(where)
    return layers


def network_outputs(config: Config, dataset: Dataset) -> int:
    """Return the number of the network's outputs, at least one a class.

    Raises:
        NnlabError: there are more classes than outputs.
    """
    outputs = config.architecture.out_features or dataset.classes
    if outputs < dataset.classes:
        raise NnlabError(
            f"architecture.out_features={outputs} is too few: {dataset.name} has {dataset.classes} classes; "
            f"set it to {dataset.classes} or null"
        )
    return outputs


def initialize(network: Sequential, replica: int, config: Config, rng: np.random.Generator) -> None:
    """Give one replica its initial parameters: drawn, or from the files of ``initializer.from``.

    Raises:
        NnlabError: an initialiser refuses, a position has no weight, or a file is missing or wrong.
    """
    chosen = config.initializer
    if chosen.from_ is not None:
        _load_initial(network, replica, Path(chosen.from_).expanduser())
        return
    places = [n for n, layer in enumerate(network.layers) if len(layer.parameter_shapes.get("weight", ())) > 1]
    own = {
        _position(f"initializer.layers.{key}", key, places): _drawing(component, f"initializer.layers.{key}")
        for key, component in chosen.layers.items()
    }
    network.initialize(
        replica, rng, _drawing(chosen, "initializer"), _drawing(chosen.bias, "initializer.bias"), own=own
    )


def _drawing(component: Component, where: str) -> functools.partial[Any]:
    return functools.partial(component.build, where)


def _position(where: str, key: str, places: Iterable[int]) -> int:
    choices: Mapping[str, int] = {str(place): place for place in places}
    if key not in choices:
        raise NnlabError(f"{where}: there is nothing of the kind at this position; choose from {', '.join(choices)}")
    return choices[key]


def _load_initial(network: Sequential, replica: int, folder: Path) -> None:
    try:
        state = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in network.state_dict()}
        network.load_state_dict(state, replica)
    except (OSError, ValueError) as error:
        raise NnlabError(f"initializer.from={str(folder)!r}: {error}") from error
