"""Building the network: from a config's architecture, activations and initialisers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab import npy, regular_file
from nnlab.components import Component
from nnlab.config import Architecture, Config
from nnlab.data import stand_ins
from nnlab.data.batches import EVALUATED
from nnlab.data.dataset import Dataset
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits
from nnlab.nn.module import Module
from nnlab.nn.sequential import Sequential, without_spurious_warnings


def build_network(
    config: Config, dataset: Dataset, replicas: int = 1, rngs: Sequence[np.random.Generator] = ()
) -> Sequential:
    """Return the network of a config, its parameters not drawn yet."""
    outputs = network_outputs(config, dataset)
    layers = build_layers(config.architecture, config.activation, dataset.features, outputs)
    needed = check_size(layers, dataset.features, config.training.dtype, replicas)
    network = Sequential(layers, replicas=replicas, dtype=config.training.dtype, rngs=rngs)
    # All splits train on half of the samples or more.
    batch_size = min(config.training.batch_size or len(dataset.y) // 2, len(dataset.y))
    samples = max(batch_size, min(EVALUATED, len(dataset.y)))
    where = f"architecture, with training.batch_size={config.training.batch_size or 'null'}"
    check_fits(needed + samples * _sample_bytes(network, dataset.features), where)
    return network


def check_size(layers: Sequence[Module], in_features: int, dtype: str, replicas: int = 1) -> int:
    """Return a lower bound of the bytes that training needs for layers besides what they compute.

    That is parameters, gradients, and the copy of a checkpoint.

    Raises:
        NnlabError: the machine has less memory than that, with what a single sample needs.
    """
    shapes = [shape for layer in layers for shape in layer.parameter_shapes.values()]
    # A convolution gives as many images, and first copies each of its filters' inputs as often.
    of_sample = [
        (shape[0] + math.prod(shape[1:])) * in_features if len(shape) > 2 else shape[0] for shape in shapes if shape
    ]
    itemsize = np.dtype(dtype).itemsize
    needed = 3 * replicas * itemsize * sum(math.prod(shape) for shape in shapes)
    check_fits(needed + itemsize * sum(of_sample), "architecture")
    return needed


def _sample_bytes(network: Sequential, in_features: int) -> int:
    """Return the bytes that a new network's layers write into for each sample more, found out by sending zeros."""
    network.eval()  # a training step would draw random numbers and follow the batch
    needed = []
    for samples in (1, 2):
        with without_spurious_warnings():
            network.forward(np.zeros((1, in_features, samples), network.dtype))
        needed.append(sum(layer.buffer.nbytes for layer in network.layers))
    network.train()
    return needed[1] - needed[0]


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
        _load_initial(network, replica, chosen.from_)
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


def _load_initial(network: Sequential, replica: int, given: str) -> None:
    where = f"initializer.from={given!r}"
    try:
        folder = stand_ins.of(given).expanduser()
        state = {
            name: _initial_array(folder / f"{name}.npy", parameter.size)
            for name, parameter in network.state_dict().items()
        }
        with np.errstate(over="ignore"):
            network.load_state_dict(state, replica)
    except (NnlabError, ValueError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise NnlabError(f"{where}: {error}") from error
    if broken := network.first_nonfinite(replica):
        raise NnlabError(f"{where}: it gives NaN or infinities to {broken}")


def _initial_array(path: Path, size: int) -> NDArray[Any]:
    try:
        return npy.parse(regular_file.read(path, npy.file_bytes(size)))
    except ValueError as error:
        raise NnlabError(f"{path} {error}") from error
