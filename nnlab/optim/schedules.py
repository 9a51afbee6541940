"""Learning-rate schedules: t -> multiplier of the optimiser's lr.

Each function returns such a closure. t counts from 0, in updates or in epochs: a schedule itself does not know which;
``per_epoch`` turns one that counts epochs into one that counts updates. ``total`` is the length of the whole run in the
schedule's own unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], float]


def per_epoch(schedule: Schedule, steps_per_epoch: int) -> Schedule:
    """Return the schedule of updates that follows ``schedule`` of epochs: it changes only between epochs."""
    return lambda step: schedule(step // steps_per_epoch)


def constant(total: int) -> Schedule:  # noqa: ARG001 - the common signature
    """1."""
    return lambda t: 1.0  # noqa: ARG005


def inverse(total: int, *, gamma: float = 0.0005, power: float = 0.75) -> Schedule:  # noqa: ARG001
    """(1 + gamma t)^-power: Caffe's ``inv``.

    >>> inverse(800, gamma=0.0005, power=0.75)(800)
    0.776969...
    """
    _at_least_zero("gamma", gamma)
    return lambda t: (1 + gamma * t) ** -power


def step(total: int, *, step_size: int, gamma: float = 0.1) -> Schedule:  # noqa: ARG001
    """gamma^floor(t / step_size): ``torch.optim.lr_scheduler.StepLR``."""
    if step_size < 1:
        raise ValueError(f"step_size must be at least 1, got {step_size}")
    _at_least_zero("gamma", gamma)
    return lambda t: float(gamma ** (t // step_size))


def exponential(total: int, *, gamma: float = 0.95) -> Schedule:  # noqa: ARG001
    """gamma^t: ``torch.optim.lr_scheduler.ExponentialLR``."""
    _at_least_zero("gamma", gamma)
    return lambda t: float(gamma**t)


def cosine(total: int, *, final: float = 0.0) -> Schedule:
    """Final + (1 - final) (1 + cos(pi t / total)) / 2: falls from 1 to ``final`` (Loshchilov & Hutter 2017).

    ``torch.optim.lr_scheduler.CosineAnnealingLR`` with ``T_max=total, eta_min=final * lr``.
    """
    _at_least_zero("final", final)
    return lambda t: final + (1 - final) * (1 + math.cos(math.pi * min(t, total) / total)) / 2


def linear_warmup(total: int, *, warmup: int, start: float = 0.0) -> Schedule:  # noqa: ARG001
    """Start + (1 - start) min(1, t / warmup): rises to 1 over ``warmup``, then stays.

    ``torch.optim.lr_scheduler.LinearLR`` with ``start_factor=start, total_iters=warmup``.
    """
    if warmup < 1:
        raise ValueError(f"warmup must be at least 1, got {warmup}")
    _at_least_zero("start", start)
    return lambda t: start + (1 - start) * min(1.0, t / warmup)


def _at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
