"""Build: from validated configs to the objects that train, for a stack of runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.components import Component
from nnlab.config import Architecture, Config
from nnlab.data.batches import Batches, Part
from nnlab.data.dataset import Dataset, Split, fit_standardization
from nnlab.errors import NnlabError
from nnlab.nn.losses import Loss
from nnlab.nn.module import Module
from nnlab.nn.sequential import Sequential
from nnlab.optim.schedules import Schedule, per_epoch
from nnlab.training import Optimizer, Plan

PER_REPLICA = ("lr", "momentum", "weight_decay")
"""Arguments of an optimiser that may differ within a stack."""


class Streams(NamedTuple):
    """The random streams of one run: independent, so that changing how one is used leaves the others as they are."""

    split: np.random.Generator
    initialization: np.random.Generator
    shuffling: np.random.Generator
    dropout: np.random.Generator


@dataclass
class Stack:
    """Everything that trains a stack of runs; replica r is run r."""

    configs: list[Config]
    dataset: Dataset
    network: Sequential
    loss: Loss
    optimizer: Optimizer
    schedules: list[Schedule]
    batches: Batches
    plan: Plan
    parts: dict[str, Part]
    splits: list[Split]
    standardization: list[dict[str, NDArray[Any]]]
    streams: list[Streams]


def streams(seed: int) -> Streams:
    """Spawn a run's streams from its one seed (``numpy.random.SeedSequence``)."""
    children = np.random.SeedSequence(seed).spawn(len(Streams._fields))
    return Streams(*(np.random.default_rng(child) for child in children))


def build(configs: Sequence[Config]) -> Stack:
    """Build the stack of some runs that share data set, architecture, activation, loss and training.

    Raises:
        NnlabError: a component refuses its arguments, or they don't fit together; one line that names the key.
    """
    config, replicas = configs[0], len(configs)
    training, dtype = config.training, np.dtype(config.training.dtype)
    dataset, x = load(config.dataset, training.dtype)
    own = [streams(each.seed) for each in configs]
    splits = [dataset.splitter(stream.split) for stream in own]
    network = build_network(config, dataset, replicas)
    for replica, (each, stream) in enumerate(zip(configs, own, strict=True)):
        _initialize(network, replica, each, stream.initialization)

    standardization = [_standardization(dataset, split, dtype) for split in splits]
    mean = np.stack([each["input.mean"] for each in standardization]) if dataset.standardize else None
    std = np.stack([each["input.std"] for each in standardization]) if dataset.standardize else None
    parts = {
        name: Part(
            x, dataset.y, network_outputs(config, dataset), np.stack([getattr(s, name) for s in splits]), mean, std
        )
        for name in ("train", "val", "test")
        if len(getattr(splits[0], name))
    }
    try:
        batches = Batches(parts["train"], training.batch_size, training.batching, [s.shuffling for s in own])
    except ValueError as error:
        raise NnlabError(f"training.{error}") from error
    per_replica = {
        name: [each.optimizer.arguments[name] for each in configs]
        for name in PER_REPLICA
        if replicas > 1 and name in config.optimizer.arguments
    }
    plan = _plan(config, batches.steps_per_epoch)
    return Stack(
        configs=list(configs),
        dataset=dataset,
        network=network,
        loss=config.loss.build("loss"),
        optimizer=config.optimizer.build("optimizer", network, **per_replica),
        schedules=[_schedule(each, plan, batches.steps_per_epoch) for each in configs],
        batches=batches,
        plan=plan,
        parts=parts,
        splits=splits,
        standardization=standardization,
        streams=own,
    )


def build_network(config: Config, dataset: Dataset, replicas: int = 1) -> Sequential:
    """Return the network of a config, its parameters still 0."""
    outputs = network_outputs(config, dataset)
    layers = build_layers(config.architecture, config.activation, dataset.features, outputs)
    return Sequential(layers, replicas=replicas, dtype=config.training.dtype)


def build_layers(
    architecture: Architecture, activation: Component, in_features: int, out_features: int
) -> list[Module]:
    """Return the layers that an architecture's config describes."""
    layers: list[Module] = architecture.build(
        "architecture",
        in_features,
        out_features,
        activation.factory("activation"),
        architecture.output_activation.factory("architecture.output_activation"),
    )
    for layer in layers:
        if not isinstance(layer, Module):
            raise NnlabError(f"{layer!r} is no layer: the architecture and its activations must give Modules")
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


def load(component: Component, dtype: str) -> tuple[Dataset, NDArray[Any]]:
    """Return a data set and its inputs ``[n, features]`` in that dtype; the last one is kept for the next run."""
    return _load(component.target, json.dumps(component.arguments, sort_keys=True), dtype)


@functools.lru_cache(maxsize=1)
def _load(target: str, arguments: str, dtype: str) -> tuple[Dataset, NDArray[Any]]:
    dataset = Component(_target_=target, **json.loads(arguments)).build("dataset")
    return dataset, dataset.inputs(np.dtype(dtype))


def _initialize(network: Sequential, replica: int, config: Config, rng: np.random.Generator) -> None:
    if config.initializer.from_ is not None:
        _load_initial(network, replica, Path(config.initializer.from_).expanduser())
        return
    weight = functools.partial(config.initializer.build, "initializer")
    bias = functools.partial(config.initializer.bias.build, "initializer.bias")
    network.initialize(replica, rng, weight, bias)


def _load_initial(network: Sequential, replica: int, folder: Path) -> None:
    try:
        state = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in network.state_dict()}
        network.load_state_dict(state, replica)
    except (OSError, ValueError) as error:
        raise NnlabError(f"initializer.from={str(folder)!r}: {error}") from error


def _standardization(dataset: Dataset, split: Split, dtype: np.dtype[Any]) -> dict[str, NDArray[Any]]:
    if not dataset.standardize:
        return {}
    mean, std = fit_standardization(dataset.x[split.train] / dataset.scale)
    return {"input.mean": mean.astype(dtype), "input.std": std.astype(dtype)}


def _plan(config: Config, steps_per_epoch: int) -> Plan:
    training = config.training
    epochs = training.epochs if training.updates is None else -(-training.updates // steps_per_epoch)
    return Plan(epochs, training.updates, training.eval_every, training.log_every_updates)


def _schedule(config: Config, plan: Plan, steps_per_epoch: int) -> Schedule:
    updates = plan.updates or plan.epochs * steps_per_epoch
    schedule: Schedule = config.schedule.build("schedule", updates if config.schedule.per == "update" else plan.epochs)
    return schedule if config.schedule.per == "update" else per_epoch(schedule, steps_per_epoch)
