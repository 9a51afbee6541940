"""Learning-rate schedules: t -> multiplier of the optimiser's lr.

Each function returns such a closure. t counts from 0, in updates or in epochs: a schedule itself does not know which;
``per_epoch`` turns one that counts epochs into one that counts updates. ``total`` is the length of the whole run in the
schedule's own unit.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from nnlab.optim.ranges import above_zero, at_least_zero

Schedule: TypeAlias = Callable[[int], float]


def per_epoch(schedule: Schedule, steps_per_epoch: int) -> Schedule:
    """Return the schedule of updates that follows ``schedule`` of epochs: it changes only between epochs."""
    return lambda step: schedule(step // steps_per_epoch)


def warmup(schedule: Schedule, *, warmup: int, start: float = 0.0) -> Schedule:
    """Start + (1 - start) t / warmup while t < warmup, then ``schedule`` of t - warmup.

    ``torch.optim.lr_scheduler.SequentialLR`` of ``LinearLR(start_factor=start, total_iters=warmup)`` and the schedule,
    with ``milestones=[warmup]`` (which can't chain OneCycleLR itself).

    >>> [warmup(exponential(6, gamma=0.5), warmup=4, start=0.5)(t) for t in range(7)]
    [0.5, 0.625, 0.75, 0.875, 1.0, 0.5, 0.25]

    Args:
        schedule: what follows; its own t starts at 0 then.
        warmup: length, in what t counts; 0 for none.
        start: the multiplier at t = 0, at least 0.
    """
    at_least_zero("warmup", warmup)
    at_least_zero("start", start)
    return lambda t: schedule(t - warmup) if t >= warmup else start + (1 - start) * t / warmup


def constant(total: int) -> Schedule:  # noqa: ARG001 - the common signature
    """1.

    >>> constant(10)(5)
    1.0
    """
    return lambda t: 1.0  # noqa: ARG005


def inverse(total: int, *, gamma: float = 0.0005, power: float = 0.75) -> Schedule:  # noqa: ARG001
    """(1 + gamma t)^-power: Caffe's ``inv``.

    >>> inverse(800, gamma=0.0005, power=0.75)(800)
    0.776969...
    """
    at_least_zero("gamma", gamma)
    at_least_zero("power", power)
    return lambda t: (1 + gamma * t) ** -power


def step(total: int, *, step_size: int, gamma: float = 0.1) -> Schedule:  # noqa: ARG001
    """gamma^floor(t / step_size): ``torch.optim.lr_scheduler.StepLR``.

    >>> [step(6, step_size=2, gamma=0.5)(t) for t in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    if step_size < 1:
        raise ValueError(f"step_size must be at least 1, got {step_size}")
    at_least_zero("gamma", gamma)
    return lambda t: float(gamma ** (t // step_size))


def piecewise(total: int, *, milestones: list[int], multipliers: list[float]) -> Schedule:  # noqa: ARG001
    """multipliers[i], where i of the milestones have been reached: t >= milestone.

    >>> [piecewise(6, milestones=[2, 5], multipliers=[1.0, 0.3, 0.01])(t) for t in range(6)]
    [1.0, 1.0, 0.3, 0.3, 0.3, 0.01]

    Args:
        total: not used.
        milestones: ascending.
        multipliers: one more than milestones, each at least 0.
    """
    if any(after <= before for before, after in itertools.pairwise(milestones)):
        raise ValueError(f"milestones must be ascending, got {milestones}")
    if milestones and milestones[0] < 0:
        raise ValueError(f"milestones must be at least 0, got {milestones}")
    if len(multipliers) != len(milestones) + 1:
        raise ValueError(
            f"multipliers must be one more than milestones, got {len(multipliers)} for {len(milestones)} milestones"
        )
    at_least_zero("multipliers", multipliers)
    return lambda t: float(multipliers[bisect.bisect_right(milestones, t)])


def exponential(total: int, *, gamma: float = 0.95) -> Schedule:  # noqa: ARG001
    """gamma^t: ``torch.optim.lr_scheduler.ExponentialLR``.

    >>> exponential(10, gamma=0.5)(3)
    0.125
    """
    at_least_zero("gamma", gamma)
    return lambda t: float(gamma**t)


def polynomial(total: int, *, power: float = 1.0, final: float = 0.0) -> Schedule:
    """Final + (1 - final) (1 - t / total)^power: falls from 1 to ``final`` and stays there.

    With ``final=0`` it is ``torch.optim.lr_scheduler.PolynomialLR`` with ``total_iters=total``.

    >>> [polynomial(4, power=2.0)(t) for t in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """
    above_zero("power", power)
    at_least_zero("final", final)
    return lambda t: final + (1 - final) * (1 - min(t, total) / total) ** power


def cosine(total: int, *, final: float = 0.0) -> Schedule:
    """Final + (1 - final) (1 + cos(pi t / total)) / 2: falls from 1 to ``final`` (Loshchilov & Hutter 2017).

    ``torch.optim.lr_scheduler.CosineAnnealingLR`` with ``T_max=total, eta_min=final * lr``.

    >>> cosine(10, final=0.5)(5)
    0.75
    """
    at_least_zero("final", final)
    return lambda t: final + (1 - final) * (1 + math.cos(math.pi * min(t, total) / total)) / 2


def one_cycle(
    total: int,
    *,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal: Literal["cos", "linear"] = "cos",
) -> Schedule:
    """Rise from 1 / div_factor to 1 at t = pct_start total - 1, fall to 1 / (div_factor final_div_factor) at total - 1.

    Smith & Topin 2018; ``torch.optim.lr_scheduler.OneCycleLR`` with ``max_lr=lr, total_steps=total,
    anneal_strategy=anneal, cycle_momentum=False``. A rise without length is left out.

    >>> [one_cycle(10, pct_start=0.5, div_factor=4.0, final_div_factor=1.0, anneal="linear")(t) for t in (0, 2, 4, 9)]
    [0.25, 0.625, 1.0, 0.25]

    Args:
        total: length of the run.
        pct_start: the rise's part of it, in [0, 1].
        div_factor: 1 / the first multiplier, above 0.
        final_div_factor: the first multiplier / the last, above 0.
        anneal: along half a ``cos`` or ``linear``.
    """
    if not 0 <= pct_start <= 1:
        raise ValueError(f"pct_start must be at least 0 and at most 1, got {pct_start}")
    above_zero("div_factor", div_factor)
    above_zero("final_div_factor", final_div_factor)
    peak, last, between = pct_start * total - 1, total - 1, _ANNEALING[anneal]
    first, final = 1 / div_factor, 1 / div_factor / final_div_factor

    def schedule(t: int) -> float:
        t = min(t, last)
        if t > peak:
            return between(1.0, final, (t - peak) / (last - peak))
        return between(first, 1.0, t / peak) if peak else 1.0

    return schedule


def _linear(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


def _cos(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


_ANNEALING: dict[str, Callable[[float, float, float], float]] = {"cos": _cos, "linear": _linear}
