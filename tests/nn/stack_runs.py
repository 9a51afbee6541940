"""Runs of a stack: what they share, what each has to itself, and everything that comes out of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.data.batches import Augment, Batches, Batching, Part
from nnlab.nn import Penalty, Sequential
from nnlab.optim import Optimizer, ReduceOnPlateau, Schedule, per_epoch, warmup
from nnlab.training import Diagnostic, Diagnostics, EarlyStopping, EpochResult, Plan, train
from tests.trajectories import replay
from tests.trajectories.cases import (
    AUGMENTATIONS,
    CLIPPING,
    IMAGE_SHAPE,
    OPTIMIZERS,
    PENALTIES,
    SCHEDULES,
    WARMUPS,
    Case,
)
from tests.trajectories.conf import component
from tests.trajectories.networks import CLASSES, NETWORKS

SAMPLES, EPOCHS = 60, 3
PER_REPLICA = ("lr", "momentum", "weight_decay")


@dataclass(frozen=True)
class Setup:
    """What the runs of a stack share: the names of ``tests.trajectories.cases``, and how they train."""

    case: Case = field(default_factory=Case)
    dtype: Literal["float32", "float64"] = "float32"
    train_size: int = 23
    batch_size: int | None = 8
    batching: Batching = "reshuffle"
    own_schedules: bool = False
    own_splits: bool = True
    standardized: bool = True
    patience: int | None = 1
    diagnostics: tuple[Diagnostic, ...] = ("grad_norm", "weight_norm", "update_ratio", "dead_relu")
    seed: int = 0

    def rng(self, replica: int, use: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, replica, use])

    def rngs(self, replicas: list[int], use: int) -> list[np.random.Generator]:
        return [self.rng(replica, use) for replica in replicas]


@dataclass
class Epoch:
    """Everything that a stack says of one replica after an epoch, as bytes: a NaN is itself and 0 is not -0."""

    said: list[Any]
    arrays: dict[str, bytes]
    has_ended: bool


def run(setup: Setup, replicas: list[int]) -> list[list[Epoch]]:
    """Train these replicas as one stack; return each one's epochs."""
    case, dtype = setup.case, np.dtype(setup.dtype)
    network = Sequential(replay.layers_of(case), replicas=len(replicas), dtype=dtype, rngs=setup.rngs(replicas, 0))
    draw: list[Callable[..., NDArray[np.float64]]] = [lambda rng, shape: rng.normal(0, 0.5, shape)] * 2
    for place, replica in enumerate(replicas):
        network.initialize(place, setup.rng(replica, 1), draw[0], draw[1])
    training, validation = parts(setup, replicas)
    batch_size = setup.batch_size and min(setup.batch_size, setup.train_size)
    batches = Batches(training, batch_size, setup.batching, setup.rngs(replicas, 2), augmentation(setup, replicas))
    optimizer = optimizer_of(setup, network, replicas)
    schedules, listeners = schedules_of(setup, replicas, batches.steps_per_epoch)
    penalty = {
        name: [value * setup.rng(replica, 3).uniform(0.5, 1.5) for replica in replicas]
        for name, value in PENALTIES[case.penalty].items()
    }
    plan = Plan(EPOCHS, updates=EPOCHS * batches.steps_per_epoch - 1 or None, log_every_updates=2)
    results = train(
        network,
        replay.loss_of(case),
        optimizer,
        schedules,
        batches,
        plan,
        {"val": validation, "train": training},
        penalty=Penalty(network, **penalty),
        early_stopping=EarlyStopping(len(replicas), patience=setup.patience, min_delta=0.03)
        if setup.patience
        else None,
        diagnostics=Diagnostics(setup.diagnostics, network, training),
        listeners=listeners,
    )
    epochs: list[list[Epoch]] = [[] for _ in replicas]
    for result in results:
        for replica, own in enumerate(epochs):
            own.append(recorded(result, network, optimizer, replica))
    return epochs


def parts(setup: Setup, replicas: list[int]) -> tuple[Part, Part]:
    """The training and the validation part, each replica's own or everybody's."""
    features = NETWORKS[setup.case.network].in_features
    data = np.random.default_rng(setup.seed)
    x = (data.normal(1, 2, (SAMPLES, features)) / features**0.5).astype(setup.dtype)
    y = data.integers(CLASSES, size=SAMPLES)
    rows = np.stack([setup.rng(replica if setup.own_splits else 0, 4).permutation(SAMPLES) for replica in replicas])
    fitted = [x[own[: setup.train_size]] for own in rows]
    mean = np.stack([own.mean(axis=0) for own in fitted]) if setup.standardized else None
    std = np.stack([own.std(axis=0) + 1 for own in fitted]) if setup.standardized else None
    training, validation = np.split(rows, [setup.train_size], axis=1)
    return Part(x, y, CLASSES, training, mean, std), Part(x, y, CLASSES, validation, mean, std)


def augmentation(setup: Setup, replicas: list[int]) -> Augment | None:
    choice, arguments = AUGMENTATIONS[setup.case.augmentation]
    change, rngs = component("augmentation", choice)(IMAGE_SHAPE, **arguments), setup.rngs(replicas, 5)

    def augment(x: NDArray[Any]) -> None:
        for rows, rng in zip(x, rngs, strict=True):
            change(rows, rng)

    return augment if change else None


def optimizer_of(setup: Setup, network: Sequential, replicas: list[int]) -> Optimizer:
    """Each replica has its own lr, momentum and weight decay, where there is any."""
    choice, arguments = OPTIMIZERS[setup.case.optimizer]
    own = {
        name: [arguments[name] * setup.rng(replica, 6 + place).uniform(0.5, 1.05) for replica in replicas]
        for place, name in enumerate(PER_REPLICA)
        if name in arguments
    }
    made: Optimizer = component("optimizer", choice)(network, **{**arguments, **own, **CLIPPING[setup.case.clipping]})
    return made


def schedules_of(setup: Setup, replicas: list[int], steps: int) -> tuple[list[Schedule], list[Callable[..., None]]]:
    """One object for all replicas where it has no state, or a schedule of each one's own kind."""
    shared: dict[str, Schedule] = {}
    schedules: list[Schedule] = []
    listeners: list[Callable[..., None]] = []
    for place, replica in enumerate(replicas):
        name, per = setup.case.schedule, setup.case.per
        if setup.own_schedules:
            name = sorted(SCHEDULES)[int(setup.rng(replica, 9).integers(len(SCHEDULES)))]
        if name not in shared:
            inner = component("schedule", name)(EPOCHS * (steps if per == "update" else 1), **SCHEDULES[name][per])
            warm = WARMUPS[setup.case.warmup][per]
            schedule = warmup(inner, warmup=2, start=warm["start"]) if warm else inner
            schedule = schedule if per == "update" else per_epoch(schedule, steps)
            if isinstance(inner, ReduceOnPlateau):
                listeners.append(functools.partial(tell, inner, place))
            else:
                shared[name] = schedule
        schedules.append(shared.get(name, schedule))
    return schedules, listeners


def tell(plateau: ReduceOnPlateau, place: int, metrics: dict[str, NDArray[Any]]) -> None:
    plateau.observe(float(metrics[plateau.monitor][place]))


def recorded(result: EpochResult, network: Sequential, optimizer: Optimizer, replica: int) -> Epoch:
    own = {name: values[replica].tobytes() for name, values in result.metrics.items() if not name.startswith("time/")}
    said = [
        (result.epoch, result.step, result.failed.get(replica), result.stopped.get(replica)),
        replica in result.improved,
        own,
        [(update.step, update.loss[replica].tobytes(), update.accuracy[replica]) for update in result.updates],
    ]
    arrays = {**network.state_dict(replica), **optimizer.state_dict(replica)}
    has_ended = replica in result.failed or replica in result.stopped
    return Epoch(said, {name: array.tobytes() for name, array in arrays.items()}, has_ended)
