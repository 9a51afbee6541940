"""PyTorch's schedulers, chained behind its LinearLR for a warm-up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import lr_scheduler

from tests.trajectories import cases
from tests.trajectories.cases import SCHEDULES, WARMUPS, Case


class Schedule:
    """Drives the learning rate of an optimiser: a LinearLR for the warm-up, then a scheduler that starts afresh.

    That is what ``SequentialLR`` is meant to do; it can't with OneCycleLR, which writes down an initial learning rate
    of its own.
    """

    def __init__(self, case: Case, optimizer: Any) -> None:
        self.case, self.optimizer = case, optimizer
        warmup = WARMUPS[case.warmup][case.per]
        self.left = int(warmup.get("warmup", 0))
        self.total = (cases.UPDATES if case.per == "update" else cases.EPOCHS) - self.left
        if self.left:
            self.scheduler = lr_scheduler.LinearLR(optimizer, start_factor=warmup["start"], total_iters=self.left)
        else:
            self.scheduler = self.start()

    def ended(self, what: str) -> None:
        """Count an update or an epoch."""
        if what != self.case.per:
            return
        self.left -= 1
        if self.left == 0:
            self.scheduler = self.start()
        else:
            self.scheduler.step()

    def evaluated(self, network: Any, x: Any, labels: Any) -> None:
        """Follow what the network achieves: no schedule but ``Plateau`` does."""

    def start(self) -> Any:
        """Return PyTorch's own scheduler where it has one, at its first step."""
        for group in self.optimizer.param_groups:
            group["lr"] = cases.lr_of(self.case)
            group.pop("initial_lr", None)
        return _MADE[self.case.schedule](
            self.optimizer, self.total, cases.lr_of(self.case), **SCHEDULES[self.case.schedule][self.case.per]
        )


class Plateau(Schedule):
    """ReduceLROnPlateau on an optimiser of its own, whose learning rate counts once the warm-up is over."""

    def __init__(self, case: Case, optimizer: Any) -> None:
        settings = dict(SCHEDULES[case.schedule][case.per])
        self.lr = cases.lr_of(case)
        self.is_accuracy = settings.pop("monitor", "val/loss") == "val/accuracy"
        self.dummy = torch.optim.SGD([torch.zeros(1)], lr=self.lr)
        self.plateau = lr_scheduler.ReduceLROnPlateau(
            self.dummy,
            mode="max" if self.is_accuracy else "min",
            min_lr=settings.pop("minimum", 0.0) * self.lr,
            eps=0.0,
            **settings,
        )
        super().__init__(case, optimizer)

    def start(self) -> Any:
        """Return a scheduler that does nothing by itself."""
        lr = self.dummy.param_groups[0]["lr"]
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            group.pop("initial_lr", None)
        return _Idle()

    def evaluated(self, network: Any, x: Any, labels: Any) -> None:
        """Tell the scheduler the loss, always a mean, or the accuracy."""
        network.eval()
        with torch.no_grad():
            outputs = network(x)
            accuracy = (outputs.argmax(dim=1) == labels).double().mean()
            loss = torch.nn.functional.cross_entropy(outputs, labels)  # the loss of all cases with a plateau
        self.plateau.step(accuracy.item() if self.is_accuracy else loss.item())
        if self.left <= 0:
            for group in self.optimizer.param_groups:
                group["lr"] = self.dummy.param_groups[0]["lr"]


class _Idle:
    def step(self) -> None:
        """Do nothing."""


def schedule_of(case: Case, optimizer: Any) -> Schedule:
    """Return what drives the learning rate."""
    return (Plateau if case.schedule == "reduce_on_plateau" else Schedule)(case, optimizer)


def _polynomial(optimizer: Any, total: int, lr: float, *, power: float = 1.0, final: float = 0.0) -> Any:
    if not final:
        return lr_scheduler.PolynomialLR(optimizer, total, power)
    return lr_scheduler.LambdaLR(optimizer, lambda t: final + (1 - final) * (1 - t / total) ** power)


def _one_cycle(optimizer: Any, total: int, lr: float, *, anneal: str = "cos", **settings: Any) -> Any:
    # One step more is taken than there are updates: OneCycleLR refuses it, and nothing uses what it would give.
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=total, anneal_strategy=anneal, cycle_momentum=False, **settings
    )
    step = scheduler.step
    scheduler.step = lambda: step() if scheduler.last_epoch + 1 < total else None
    return scheduler


_MADE: dict[str, Callable[..., Any]] = {
    "constant": lambda optimizer, total, lr: lr_scheduler.ConstantLR(optimizer, factor=1.0),
    "linear_warmup": lambda optimizer, total, lr: lr_scheduler.ConstantLR(optimizer, factor=1.0),
    "cosine": lambda optimizer, total, lr, final=0.0: lr_scheduler.CosineAnnealingLR(
        optimizer, total, eta_min=lr * final
    ),
    "exponential": lambda optimizer, total, lr, gamma: lr_scheduler.ExponentialLR(optimizer, gamma),
    "inverse": lambda optimizer, total, lr, gamma, power: lr_scheduler.LambdaLR(
        optimizer, lambda t: 1 / (1 + gamma * t) ** power
    ),
    "one_cycle": _one_cycle,
    "piecewise": lambda optimizer, total, lr, milestones, multipliers: lr_scheduler.MultiStepLR(
        optimizer, milestones, gamma=multipliers[1]
    ),
    "polynomial": _polynomial,
    "step": lambda optimizer, total, lr, step_size, gamma: lr_scheduler.StepLR(optimizer, step_size, gamma),
}
