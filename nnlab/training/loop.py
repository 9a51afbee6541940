"""The training loop: a generator that yields an EpochResult, for a stack of replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Part
from nnlab.nn.losses import Loss, count_correct
from nnlab.nn.penalty import Penalty
from nnlab.nn.sequential import Sequential
from nnlab.optim.schedules import Schedule
from nnlab.training.diagnostics import Diagnostics
from nnlab.training.early_stopping import EarlyStopping
from nnlab.training.evaluation import diverging, evaluate_all
from nnlab.training.plan import Plan
from nnlab.training.result import EpochResult, Update, Values

Listener = Callable[[Mapping[str, Values]], None]


class Optimizer(Protocol):
    """What the loop asks of an optimiser.

    Attributes:
        state: its arrays by name, ``[replicas, size]`` each.
    """

    state: dict[str, NDArray[Any]]

    @property
    def folds(self) -> bool:
        """Whether an update is nothing but w -= lr g, so that lr may be folded into the gradients."""

    def learning_rates(self, multiplier: float | Values) -> Values:
        """Return lr times the multiplier, ``[replicas]``."""

    def step(self, multiplier: float | Values = 1.0, *, folded: bool = False) -> Values:
        """Update the parameters once; return the learning rates used, ``[replicas]``."""

    def state_dict(self, replica: int = 0) -> dict[str, NDArray[Any]]:
        """Return one replica's arrays by name."""

    def load_state_dict(self, state: Mapping[str, NDArray[Any]], replica: int = 0) -> None:
        """Copy what ``state_dict`` gave into one replica."""


class Loop:
    """Everything that one epoch of training needs; see ``train``."""

    def __init__(
        self,
        network: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        schedules: Sequence[Schedule],
        batches: Batches,
        plan: Plan,
        penalty: Penalty | None,
        diagnostics: Diagnostics | None,
    ) -> None:
        self.network, self.loss, self.optimizer, self.batches, self.plan = network, loss, optimizer, batches, plan
        self.schedules, self.penalty, self.diagnostics = schedules, penalty, diagnostics
        # Plain SGD: the loss's delta is multiplied by lr, so that no pass over the weights is spent on scaling.
        self.folded = optimizer.folds and not penalty
        self.is_scheduled_alike = all(schedule is schedules[0] for schedule in schedules)
        lr = optimizer.learning_rates(1.0)
        self.has_one_lr = self.is_scheduled_alike and bool((lr == lr[0]).all())
        self.step = 0

    @diverging
    def epoch(self) -> tuple[dict[str, Values], list[Update]]:
        """Train one epoch; return its metrics and recorded updates."""
        started = time.perf_counter()
        plan, replicas = self.plan, self.network.replicas
        end = min(self.step + self.batches.steps_per_epoch, plan.updates or np.inf)
        loss_sum, penalty_sum, correct, seen = np.zeros(replicas), np.zeros(replicas), np.zeros(replicas), 0
        lr, updates = np.zeros(replicas), list[Update]()
        self.network.train()
        for batch in self.batches.epoch(self.step):
            outputs = self.network.forward(batch.x)
            batch_loss = self.loss.forward(outputs, batch.targets)
            batch_correct = count_correct(outputs, batch.targets, batch.labels)
            if self.penalty:
                penalty_sum += self.penalty.forward() * self.loss.samples(batch.size)
            lr = self._update(is_watched=bool(self.diagnostics) and self.step + 1 == end)
            if plan.log_every_updates and self.step % plan.log_every_updates == 0:
                updates.append(Update(self.step, batch_loss, batch_correct / batch.size))
            loss_sum += batch_loss * self.loss.samples(batch.size)
            correct += batch_correct
            seen += batch.size
            self.step += 1
            if self.step == end:
                break
        metrics = {"train/loss": loss_sum / seen, "train/accuracy": correct / seen, "lr": lr}
        if self.penalty:
            metrics["train/objective"] = (loss_sum + penalty_sum) / seen
        metrics["time/train_seconds"] = np.full(replicas, time.perf_counter() - started)
        if self.diagnostics:
            metrics |= self.diagnostics.metrics()
        return metrics, updates

    def _update(self, *, is_watched: bool) -> Values:
        """Backpropagate and update once; return the learning rates used."""
        multiplier = self._multiplier()
        lr = self.optimizer.learning_rates(multiplier)
        scale = (float(lr[0]) if self.has_one_lr else lr) if self.folded else 1.0
        is_still = lr == 0 if self.folded and is_watched else None
        if is_still is not None and is_still.any():  # there would be no gradient to look at
            scale = np.where(is_still, 1.0, lr)
        self.network.backward(self.loss.backward(scale))
        if self.penalty:
            self.penalty.backward()
        if self.diagnostics and is_watched:
            self.diagnostics.before_update(None if is_still is None else np.where(is_still, 1.0, lr))
        if is_still is not None:
            self.network.gradients[is_still] = 0
        self.optimizer.step(multiplier, folded=self.folded)
        if self.diagnostics and is_watched:
            self.diagnostics.after_update()
        return lr

    def _multiplier(self) -> float | Values:
        if self.is_scheduled_alike:
            return self.schedules[0](self.step)
        return np.array([schedule(self.step) for schedule in self.schedules])


def train(
    network: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    schedules: Sequence[Schedule],
    batches: Batches,
    plan: Plan,
    evaluated: Mapping[str, Part],
    *,
    penalty: Penalty | None = None,
    early_stopping: EarlyStopping | None = None,
    diagnostics: Diagnostics | None = None,
    listeners: Sequence[Listener] = (),
    after: tuple[int, int] | None = None,
) -> Iterator[EpochResult]:
    """Train a stack of replicas and yield after each epoch, epoch 0 (before training) first.

    A replica whose loss or parameters become NaN or Inf is named once in ``EpochResult.failed``, one that early
    stopping ends in ``stopped``, one whose plan is fulfilled in ``ended``; the others go on untouched, and the loop
    ends when none is left. What happens afterwards to the parameters of a replica that has ended means nothing.

    Args:
        network: the stack; it is trained in place, so what is to be kept of an epoch is copied before the next.
        loss: on the network's outputs.
        optimizer: of this network.
        schedules: update -> multiplier of lr, one a replica.
        batches: the training batches.
        plan: how long, and when to look.
        evaluated: parts to evaluate, by name: ``val``, ``test``.
        penalty: added to the loss.
        early_stopping: when to end a replica before the plan does.
        diagnostics: further metrics.
        listeners: are called with the metrics of each epoch, for schedules that depend on them.
        after: (epoch, update) that network, optimiser, schedules and streams stand at, to go on from; the first epoch
            that is yielded is the next one.
    """
    loop = Loop(network, loss, optimizer, schedules, batches, plan, penalty, diagnostics)
    budgets = np.array(plan.budgets or [plan.epochs] * network.replicas)
    first, loop.step = (after[0] + 1, after[1]) if after else (0, 0)
    alive = (budgets >= first) & ~(early_stopping.has_ended if early_stopping else np.zeros(network.replicas, bool))
    epoch = first
    while alive.any():
        metrics, updates = loop.epoch() if epoch else ({}, [])
        is_over = (budgets == epoch) | (loop.step == plan.updates)
        if is_over.any() or epoch % plan.eval_every == 0:
            metrics |= evaluate_all(network, loss, evaluated, penalty)
        failed = _newly_failed(network, optimizer, metrics, alive)
        alive[list(failed)] = False
        for listener in listeners:
            listener(metrics)
        stopped, improved = dict[int, str](), frozenset[int]()
        if early_stopping:
            better, ends = early_stopping.observe(epoch, metrics)
            improved = frozenset(np.flatnonzero(better & alive).tolist())
            stopped = {replica: early_stopping.reason(replica) for replica in np.flatnonzero(ends & alive).tolist()}
            alive[list(stopped)] = False
        ended = frozenset(np.flatnonzero(is_over & alive).tolist())
        alive[list(ended)] = False
        yield EpochResult(epoch, loop.step, metrics, failed, stopped, ended, improved, updates)
        epoch += 1


@diverging
def _newly_failed(
    network: Sequential, optimizer: Optimizer, metrics: dict[str, Values], alive: NDArray[np.bool_]
) -> dict[int, str]:
    """Name what is NaN or Inf in each replica that was alive: a layer's parameters, else the last one's outputs.

    The optimiser's arrays count too: one whose average of squares is infinite learns no more, and nothing else shows.
    """
    losses = {name: values for name, values in metrics.items() if name.endswith(("/loss", "penalty", "/objective"))}
    total = np.add.reduce(network.parameters, axis=1)  # any NaN or Inf shows in the sum; it may also just overflow
    for values in (*losses.values(), *(np.add.reduce(array, axis=1) for array in optimizer.state.values())):
        total = total + values
    failed = {}
    for replica in (alive & ~np.isfinite(total)).nonzero()[0].tolist():
        of_replica = {name: float(values[replica]) for name, values in losses.items()}
        what = network.first_nonfinite(replica) or nonfinite(of_replica, network, replica)
        what = what or _nonfinite_state(optimizer, network, replica)
        if what:
            failed[replica] = what
    return failed


def _nonfinite_state(optimizer: Optimizer, network: Sequential, replica: int) -> str | None:
    """Name the first layer for whose parameters the optimiser keeps NaN or Inf; None if all is finite."""
    for name, array in optimizer.state_dict(replica).items():
        if not np.isfinite(array).all():
            kind, position, parameter = name.rsplit(".", 2)
            return f"layer {position}, {network.layers[int(position)]!r}, {parameter}, the optimiser's {kind}"
    return None


def nonfinite(losses: Mapping[str, float], network: Sequential, replica: int) -> str | None:
    """Name the losses of a replica that are NaN or Inf, and the layer that makes them; None if all are finite."""
    bad = [name for name, value in losses.items() if not np.isfinite(value)]
    if not bad:
        return None
    layer, what = len(network.layers) - 1, "outputs"
    if not any(name.endswith("loss") for name in bad):  # the penalty is that of weights
        layer, what = network.largest(replica), "weights"
    return f"{', '.join(bad)}, of the {what} of layer {layer}, {network.layers[layer]!r}"
