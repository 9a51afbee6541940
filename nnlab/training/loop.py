"""The training loop: a generator that yields an EpochResult, for a stack of replicas."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Part
from nnlab.nn.losses import Loss, count_correct
from nnlab.nn.sequential import Sequential
from nnlab.optim.schedules import Schedule

Values = NDArray[np.float64]


class Optimizer(Protocol):
    """What the loop asks of an optimiser."""

    def step(self, multiplier: float | Values = 1.0) -> Values:
        """Update the parameters once; return the learning rates used, ``[replicas]``."""

    def state_dict(self, replica: int = 0) -> dict[str, NDArray[Any]]:
        """Return one replica's arrays by name."""


@dataclass(frozen=True)
class Plan:
    """How long to train and when to look.

    Attributes:
        epochs: length of the run; the last epoch is cut short where ``updates`` says so.
        updates: length of the run in updates, instead of whole epochs.
        eval_every: epochs between evaluations; epoch 0 and the last are always evaluated.
        log_every_updates: record the batch loss and accuracy of every so many updates; None for none.
    """

    epochs: int
    updates: int | None = None
    eval_every: int = 1
    log_every_updates: int | None = None


class Update(NamedTuple):
    """One recorded update: its number from 0 and the batch's loss and accuracy before it, ``[replicas]``."""

    step: int
    loss: Values
    accuracy: Values


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Attributes:
        epoch: 0 is the network before training.
        step: updates done so far.
        metrics: name -> one value a replica, ``[replicas]``. ``train/*`` are running means over the epoch's batches,
            ``val/*`` and ``test/*`` exact; times are in seconds, of the whole stack.
        failed: replica -> what became NaN or Inf in this epoch, for replicas that had been fine until then.
        updates: see ``Plan.log_every_updates``.
    """

    epoch: int
    step: int
    metrics: dict[str, Values]
    failed: dict[int, str] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)


def train(
    network: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    schedules: Sequence[Schedule],
    batches: Batches,
    plan: Plan,
    evaluated: dict[str, Part],
) -> Iterator[EpochResult]:
    """Train a stack of replicas and yield after each epoch, epoch 0 (before training) first.

    A replica whose loss or parameters become NaN or Inf is named once in ``EpochResult.failed``; the others go on
    untouched, and the loop ends early only when none is left.

    Args:
        network: the stack; it is trained in place, so what is to be kept of an epoch is copied before the next.
        loss: on the network's outputs.
        optimizer: of this network.
        schedules: update -> multiplier of lr, one a replica.
        batches: the training batches.
        plan: how long, and when to look.
        evaluated: parts to evaluate, by name: ``val``, ``test``.
    """
    step, alive = 0, np.ones(network.replicas, bool)
    yield EpochResult(0, 0, _evaluate_all(network, loss, evaluated))
    for epoch in range(1, plan.epochs + 1):
        metrics, updates, step = _train_epoch(network, loss, optimizer, schedules, batches, plan, step)
        is_last = epoch == plan.epochs or step == plan.updates
        if is_last or epoch % plan.eval_every == 0:
            metrics |= _evaluate_all(network, loss, evaluated)
        failed = _newly_failed(network, metrics, alive)
        alive[list(failed)] = False
        yield EpochResult(epoch, step, metrics, failed, updates)
        if is_last or not alive.any():
            return


_diverging = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Divergence is reported, not warned about. Only around functions: around a ``yield`` it would leak to the caller."""


@_diverging
def _train_epoch(
    network: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    schedules: Sequence[Schedule],
    batches: Batches,
    plan: Plan,
    step: int,
) -> tuple[dict[str, Values], list[Update], int]:
    """Train one epoch from update ``step`` on; return its metrics, recorded updates and the updates done by now."""
    started = time.perf_counter()
    loss_sum, correct, seen = np.zeros(network.replicas), np.zeros(network.replicas), 0
    lr, updates = np.zeros(network.replicas), list[Update]()
    for batch in batches.epoch(step):
        outputs = network.forward(batch.x)
        batch_loss = loss.forward(outputs, batch.targets)
        batch_correct = count_correct(outputs, batch.labels)
        network.backward(loss.backward())
        lr = optimizer.step(_multiplier(schedules, step))
        if plan.log_every_updates and step % plan.log_every_updates == 0:
            updates.append(Update(step, batch_loss, batch_correct / batch.size))
        loss_sum += batch_loss * batch.size
        correct += batch_correct
        seen += batch.size
        step += 1
        if step == plan.updates:
            break
    seconds = np.full(network.replicas, time.perf_counter() - started)
    metrics = {"train/loss": loss_sum / seen, "train/accuracy": correct / seen, "lr": lr, "time/train_seconds": seconds}
    return metrics, updates, step


@_diverging
def evaluate(network: Sequential, loss: Loss, part: Part) -> tuple[Values, Values]:
    """Return the exact mean loss and the accuracy of each replica on a part, ``[replicas]`` each."""
    loss_sum, correct = np.zeros(network.replicas), np.zeros(network.replicas)
    for batch in part.chunks():
        outputs = network.forward(batch.x)
        loss_sum += loss.forward(outputs, batch.targets) * batch.size
        correct += count_correct(outputs, batch.labels)
    return loss_sum / part.size, correct / part.size


def _evaluate_all(network: Sequential, loss: Loss, parts: dict[str, Part]) -> dict[str, Values]:
    if not parts:
        return {}
    started = time.perf_counter()
    metrics: dict[str, Values] = {}
    for name, part in parts.items():
        metrics[f"{name}/loss"], metrics[f"{name}/accuracy"] = evaluate(network, loss, part)
    metrics["time/eval_seconds"] = np.full(network.replicas, time.perf_counter() - started)
    return metrics


def _multiplier(schedules: Sequence[Schedule], step: int) -> float | Values:
    if all(schedule is schedules[0] for schedule in schedules):
        return schedules[0](step)
    return np.array([schedule(step) for schedule in schedules])


def _newly_failed(network: Sequential, metrics: dict[str, Values], alive: NDArray[np.bool_]) -> dict[int, str]:
    """Name what is NaN or Inf in each replica that was alive: a layer's parameters, else the last one's outputs."""
    losses = {name: values for name, values in metrics.items() if name.endswith("/loss")}
    is_fine = np.isfinite(network.parameters).all(axis=1) & np.all([np.isfinite(v) for v in losses.values()], axis=0)
    failed = {}
    for replica in np.flatnonzero(alive & ~is_fine).tolist():
        bad_losses = ", ".join(name for name, values in losses.items() if not np.isfinite(values[replica]))
        last = f"{bad_losses}, of the outputs of layer {len(network.layers) - 1}, {network.layers[-1]!r}"
        failed[replica] = network.first_nonfinite(replica) or last
    return failed
