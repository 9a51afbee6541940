"""Build: from validated configs to the objects that train, for a stack of runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.build_network import build_network, initialize, network_outputs
from nnlab.build_plan import build_early_stopping, build_plan, build_schedules, watchable_metrics
from nnlab.components import Component
from nnlab.config import Config
from nnlab.data import stand_ins
from nnlab.data.batches import Augment, Batches, Part
from nnlab.data.dataset import Dataset, Split, fit_standardization
from nnlab.errors import NnlabError
from nnlab.nn.losses import Loss
from nnlab.nn.penalty import Penalty
from nnlab.nn.sequential import Sequential
from nnlab.optim import ReduceOnPlateau, Schedule
from nnlab.training import Diagnostics, EarlyStopping, Plan
from nnlab.training.loop import Listener, Optimizer

PER_REPLICA = ("lr", "momentum", "weight_decay")
"""Arguments of an optimiser that may differ within a stack."""


class Streams(NamedTuple):
    """The random streams of one run: independent, so that changing how one is used leaves the others as they are."""

    split: np.random.Generator
    initialization: np.random.Generator
    shuffling: np.random.Generator
    dropout: np.random.Generator
    augmentation: np.random.Generator


@dataclass
class Stack:
    """Everything that trains a stack of runs; replica r is run r."""

    configs: list[Config]
    dataset: Dataset
    network: Sequential
    loss: Loss
    penalty: Penalty
    optimizer: Optimizer
    schedules: list[Schedule]
    plateaus: dict[int, ReduceOnPlateau]
    batches: Batches
    plan: Plan
    early_stopping: EarlyStopping | None
    diagnostics: Diagnostics
    parts: dict[str, Part]
    splits: list[Split]
    standardization: list[dict[str, NDArray[Any]]]
    streams: list[Streams]

    @property
    def restores_best(self) -> bool:
        """Whether each replica ends with the network of its best epoch."""
        return self.early_stopping is not None and self.configs[0].training.early_stopping.restore_best

    def listeners(self) -> list[Listener]:
        """Return what tells the schedules that depend on a metric of each epoch's."""
        return [functools.partial(_tell, plateau, replica) for replica, plateau in self.plateaus.items()]


def _tell(plateau: ReduceOnPlateau, replica: int, metrics: Mapping[str, NDArray[np.float64]]) -> None:
    if plateau.monitor in metrics:
        plateau.observe(float(metrics[plateau.monitor][replica]))


def streams(seed: int) -> Streams:
    """Spawn a run's streams from its one seed (``numpy.random.SeedSequence``)."""
    children = np.random.SeedSequence(seed).spawn(len(Streams._fields))
    return Streams(*(np.random.default_rng(child) for child in children))


def build(configs: Sequence[Config]) -> Stack:
    """Build the stack of some runs that differ in nothing but what each replica may have to itself.

    That is the seed, the initialiser, the schedule, the penalties, the epochs and ``PER_REPLICA``; how they are
    recorded is not looked at.

    Raises:
        NnlabError: a component refuses its arguments, or they don't fit together; one line that names the key.
    """
    _check_alike(configs)
    config, replicas = configs[0], len(configs)
    training = config.training
    dataset, x = load(config.dataset, training.dtype)
    own = [streams(each.seed) for each in configs]
    splits = [dataset.splitter(stream.split) for stream in own]
    network = build_network(config, dataset, replicas, [stream.dropout for stream in own])
    for replica, (each, stream) in enumerate(zip(configs, own, strict=True)):
        initialize(network, replica, each, stream.initialization)

    standardization = [_standardization(dataset, split) for split in splits]
    mean = np.stack([each["input.mean"] for each in standardization]) if dataset.standardize else None
    std = np.stack([each["input.std"] for each in standardization]) if dataset.standardize else None
    outputs = network_outputs(config, dataset)
    parts = {
        name: Part(x, dataset.y, outputs, np.stack([getattr(s, name) for s in splits]), mean, std, training.dtype)
        for name in ("train", "val", "test")
        if len(getattr(splits[0], name))
    }
    augment = _augment(config, dataset, own)
    try:
        batches = Batches(parts["train"], training.batch_size, training.batching, [s.shuffling for s in own], augment)
    except ValueError as error:
        raise NnlabError(f"training.{error}") from error
    plan = build_plan(configs, batches.steps_per_epoch)
    diagnostics = Diagnostics(training.diagnostics, network, parts["train"])
    metrics = [*watchable_metrics(config, parts), *diagnostics.names()]
    schedules, plateaus = build_schedules(configs, batches.steps_per_epoch, metrics)
    per_replica = {
        name: [each.optimizer.arguments[name] for each in configs]
        for name in PER_REPLICA
        if replicas > 1 and name in config.optimizer.arguments
    }
    try:
        penalty = Penalty(network, l1=[each.loss.l1 for each in configs], l2=[each.loss.l2 for each in configs])
    except ValueError as error:
        raise NnlabError(f"loss: {error}") from error
    return Stack(
        configs=list(configs),
        dataset=dataset,
        network=network,
        loss=config.loss.build("loss"),
        penalty=penalty,
        optimizer=config.optimizer.build("optimizer", network, **per_replica),
        schedules=schedules,
        plateaus=plateaus,
        batches=batches,
        plan=plan,
        early_stopping=build_early_stopping(config, replicas, metrics),
        diagnostics=diagnostics,
        parts=parts,
        splits=splits,
        standardization=standardization,
        streams=own,
    )


def _check_alike(configs: Sequence[Config]) -> None:
    first, *others = (_shared(config) for config in configs)
    for other in others:
        for name, value in first.items():
            if other[name] != value:
                raise NnlabError(f"runs that differ in {name} can't share a stack: {value} and {other[name]}")


def stack_key(config: Config) -> str:
    """Return a text that is equal for runs that can share a stack: see ``build``."""
    numbers = {**config.optimizer.arguments, "l1": config.loss.l1, "l2": config.loss.l2}
    has = {name: bool(numbers.get(name)) for name in (*PER_REPLICA, "l1", "l2")}  # all replicas of a stack or none
    return json.dumps([_shared(config), has], sort_keys=True)


def _shared(config: Config) -> dict[str, Any]:
    """Return what all runs of a stack have in common."""
    node = config.to_dict()
    for name in ("seed", "experiment_name", "initializer", "schedule", "tracking", "checkpoint"):
        del node[name]
    training = config.training
    if training.updates is not None or training.epochs % training.eval_every == 0:
        del node["training"]["epochs"]  # else a shorter run's last epoch would be evaluated in that run alone
    node["loss"] = {key: value for key, value in node["loss"].items() if key not in ("l1", "l2")}
    node["optimizer"] = {key: value for key, value in node["optimizer"].items() if key not in PER_REPLICA}
    return node


def load(component: Component, dtype: str) -> tuple[Dataset, NDArray[Any]]:
    """Return a data set and its inputs ``[n, features]``; the last one is kept for the next run.

    They are in that dtype, but for numbers that are yet to be standardised: those stay in float64 until then, because
    in float32 little would be left of a feature whose mean is far larger than its spread.

    Raises:
        NnlabError: the data set refuses, or a number is too large for the dtype.
    """
    arguments = component.arguments
    return _load(component.target, json.dumps(arguments, sort_keys=True), dtype, _file_state(arguments.get("path")))


def _file_state(path: str | None) -> tuple[str, int, int] | None:
    """Return what changes when somebody edits a file of their own between two runs of one process."""
    if path is None:
        return None
    try:
        absolute = stand_ins.of(path).expanduser().absolute()
        status = absolute.stat()
    except (OSError, RuntimeError, ValueError):  # not there, no such user, no path: the data set itself will say so
        return None
    return str(absolute), status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=1)
def _load(
    target: str,
    arguments: str,
    dtype: str,
    file_state: tuple[str, int, int] | None,  # noqa: ARG001 - a key of the cache
) -> tuple[Dataset, NDArray[Any]]:
    dataset = Component(_target_=target, **json.loads(arguments)).build("dataset")
    is_exact = dataset.x.dtype.kind == "f" and dataset.standardize
    with np.errstate(over="ignore"):
        x = dataset.inputs(np.float64 if is_exact else np.dtype(dtype))
    _check_finite(dataset, x, f"too large for training.dtype={dtype}")
    return dataset, x


def _check_finite(dataset: Dataset, x: NDArray[Any], what: str) -> None:
    if dataset.x.dtype.kind == "f" and not np.isfinite(x).all():
        feature = dataset.feature_names[int(np.argwhere(~np.isfinite(x))[0][-1])]
        raise NnlabError(f"dataset: the numbers of feature {feature!r} are {what}; scale them down")


def _standardization(dataset: Dataset, split: Split) -> dict[str, NDArray[Any]]:
    if not dataset.standardize:
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = fit_standardization(dataset.x[split.train] / dataset.scale)
    _check_finite(dataset, mean + std, "too large to be standardised")
    return {"input.mean": mean, "input.std": std}


def _augment(config: Config, dataset: Dataset, own: Sequence[Streams]) -> Augment | None:
    """Return what changes a gathered batch of the stack in place, each replica by its own draws; None for nothing."""
    change = config.augmentation.build("augmentation", dataset.image_shape)
    if change is None:
        return None

    def augment(x: NDArray[Any]) -> None:
        for rows, stream in zip(x, own, strict=True):
            change(rows, stream.augmentation)

    return augment
