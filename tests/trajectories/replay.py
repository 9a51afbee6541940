"""nnlab's side of the cases: those that differ in nothing but the schedule train as one stack."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab import nn
from nnlab.data.batches import Augment, Batches, Part
from nnlab.nn import Loss, Module, Penalty, Sequential
from nnlab.optim import ReduceOnPlateau, Schedule, per_epoch, warmup
from nnlab.training import EpochResult, Plan, train
from tests.trajectories import cases
from tests.trajectories.cases import (
    ACTIVATIONS,
    AUGMENTATIONS,
    CASES,
    CLIPPING,
    LOSSES,
    OPTIMIZERS,
    PENALTIES,
    SCHEDULES,
    WARMUPS,
    Case,
)
from tests.trajectories.conf import component
from tests.trajectories.networks import ACTIVATION, CLASSES, NETWORKS, OUTPUT_ACTIVATION

Arrays = dict[str, NDArray[Any]]
Listener = Callable[[Any], None]


def what_a_stack_shares(case: Case) -> Case:
    """The case with the schedule that is everybody's."""
    return case._replace(schedule="constant", per="update", warmup="none")


STACKS: dict[Case, list[Case]] = {
    shared: list(several)
    for shared, several in itertools.groupby(sorted(CASES, key=what_a_stack_shares), what_a_stack_shares)
}
"""What the cases of a stack share -> those cases."""


def activation_of(case: Case) -> Callable[[], Module]:
    choice, arguments = ACTIVATIONS[case.activation]
    return functools.partial(component("activation", choice), **arguments)


def loss_of(case: Case) -> Loss:
    choice, arguments = LOSSES[case.loss]
    loss: Loss = component("loss", choice)(**arguments)
    return loss


def layers_of(case: Case) -> list[Module]:
    """The layers that the architecture gives; those of the list where there is no architecture for them."""
    network, activation = NETWORKS[case.network], activation_of(case)
    output_activation = component("activation", network.output_activation)
    if network.architecture:
        architecture = component("architecture", network.architecture)
        layers: list[Module] = architecture(
            network.in_features, CLASSES, activation, output_activation, **network.arguments
        )
        return layers
    own = {ACTIVATION: activation, OUTPUT_ACTIVATION: output_activation}
    return [(own.get(name) or getattr(nn, name))(*arguments) for name, *arguments in network.layers]


def schedule_of(case: Case, replica: int) -> tuple[Schedule, list[Listener]]:
    """The schedule as update -> multiplier, and who is to hear of each epoch's metrics."""
    warm, is_per_update = WARMUPS[case.warmup][case.per], case.per == "update"
    total = (cases.UPDATES if is_per_update else cases.EPOCHS) - warm.get("warmup", 0)
    inner = component("schedule", case.schedule)(total, **SCHEDULES[case.schedule][case.per])
    schedule: Schedule = warmup(inner, **warm) if warm else inner
    listeners: list[Listener] = []
    if isinstance(inner, ReduceOnPlateau):
        listeners.append(lambda metrics: inner.observe(float(metrics[inner.monitor][replica])))
    return (schedule if is_per_update else per_epoch(schedule, cases.STEPS_PER_EPOCH)), listeners


def augmentation_of(case: Case) -> Augment | None:
    choice, arguments = AUGMENTATIONS[case.augmentation]
    change = component("augmentation", choice)(cases.IMAGE_SHAPE, **arguments)
    rng = np.random.default_rng(cases.AUGMENTATION_SEED)

    def augment(x: NDArray[Any]) -> None:
        assert len(x) == 1
        change(x[0], rng)

    return augment if change else None


def trained(several: list[Case], stored: Arrays) -> tuple[Sequential, EpochResult]:
    """Train the cases of a stack, by way of the training loop that everybody uses."""
    case, replicas = several[0], len(several)
    rngs = [np.random.default_rng(cases.DROPOUT_SEED) for _ in several]
    network = Sequential(layers_of(case), replicas=replicas, dtype=np.float64, rngs=rngs)
    for replica in range(replicas):
        load(network.state_dict(replica), stored[f"initial/{case.network}"])
    rows = np.tile(np.arange(cases.SAMPLES), (replicas, 1))
    part = Part(stored[f"x/{NETWORKS[case.network].in_features}"], stored["labels"], CLASSES, rows)
    batches = Batches(part, cases.BATCH_SIZE, "sequential", rngs, augmentation_of(case))
    schedules, listeners = zip(*(schedule_of(each, replica) for replica, each in enumerate(several)), strict=True)
    choice, arguments = OPTIMIZERS[case.optimizer]
    *_, last = train(
        network,
        loss_of(case),
        component("optimizer", choice)(network, **{**arguments, **CLIPPING[case.clipping], "lr": cases.lr_of(case)}),
        schedules,
        batches,
        Plan(cases.EPOCHS),
        {"val": part},
        penalty=Penalty(network, **PENALTIES[case.penalty]),
        listeners=list(itertools.chain(*listeners)),
    )
    return network, last


def load(state: Arrays, flat: NDArray[Any]) -> None:
    start = 0
    for array in state.values():
        array[...] = flat[start : start + array.size].reshape(array.shape)
        start += array.size
    assert start == flat.size


def flat(state: Arrays) -> NDArray[Any]:
    return np.concatenate([array.ravel() for array in state.values()])
