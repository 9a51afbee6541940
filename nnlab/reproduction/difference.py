"""Difference: two runs of one config, number by number and byte by byte."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nnlab.reproduction.past import Past

_STATE = ("step", "random_states", "schedule_state", "early_stopping", "restored_epoch")
"""What a manifest tells of where training stands; the rest of it says what the network is, and of which run."""


@dataclass(frozen=True)
class Departure:
    """A number that is not what it was.

    Attributes:
        metric: its name.
        step: the epoch; for ``update/*`` the update.
        old: None if the old run has it not.
        new: likewise.
    """

    metric: str
    step: int
    old: float | None
    new: float | None

    @property
    def relative(self) -> float:
        """|new - old| / max(|old|, |new|); infinite where one is missing or not finite."""
        if self.old is None or self.new is None or not (math.isfinite(self.old) and math.isfinite(self.new)):
            return math.inf
        return abs(self.new - self.old) / max(abs(self.old), abs(self.new))

    @property
    def place(self) -> str:
        """Where it is, for people."""
        if self.metric.startswith(("final/", "best/")):
            return "the end"
        return f"{'update' if self.metric.startswith('update/') else 'epoch'} {self.step}"

    @property
    def is_loss(self) -> bool:
        """Whether it is a number that the tolerance is for."""
        return self.metric.endswith(("loss", "objective", "penalty"))

    def is_beyond(self, rtol: float) -> bool:
        """Say whether it is more than rounding: a loss beyond the tolerance, or a number that only one run has."""
        return self.old is None or self.new is None or (self.is_loss and not self.relative <= rtol)


@dataclass(frozen=True)
class Numbers:
    """What the comparison of all metrics gave.

    Attributes:
        epochs: how many were compared.
        updates: likewise.
        compared: numbers.
        unequal: how many of them.
        first_unequal: the first one.
        first_beyond: the first one beyond the tolerance.
        largest: the largest relative difference, of a loss where one differs.
        added: metrics that the old run did not record.
    """

    epochs: int
    updates: int
    compared: int
    unequal: int
    first_unequal: Departure | None
    first_beyond: Departure | None
    largest: Departure | None
    added: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoints:
    """What the comparison of the checkpoints gave that both runs have.

    Attributes:
        compared: their epochs.
        unequal: epoch -> the files, or entries of the manifest, that differ.
        initial_equal: whether both began with the same weights; None if that is not known.
        final_equal: whether both ended with the same arrays, byte for byte, and in the same state; None if one of
            them has no such checkpoint.
    """

    compared: tuple[int, ...]
    unequal: dict[int, tuple[str, ...]] = field(default_factory=dict)
    initial_equal: bool | None = None
    final_equal: bool | None = None


def compare_numbers(old: Past, new: Past, rtol: float) -> Numbers:
    """Compare every epoch's metrics, the recorded updates where both have them, ``final/*`` and ``best/*``.

    Times are left out. NaN equals NaN. A run that was cut short is compared as far as it got.

    Args:
        old: the run that was to be reproduced.
        new: the one that was to do it.
        rtol: |new - old| <= rtol * max(|old|, |new|) is within the tolerance.
    """
    compared = unequal = 0
    first_unequal = first_beyond = largest = largest_loss = None
    for each in _pairs(old, new):
        compared += 1
        if each.old == each.new or _are_nan(each.old, each.new):
            continue
        unequal += 1
        first_unequal = first_unequal or each
        if first_beyond is None and each.is_beyond(rtol):
            first_beyond = each
        if largest is None or each.relative > largest.relative:
            largest = each
        if each.is_loss and (largest_loss is None or each.relative > largest_loss.relative):
            largest_loss = each
    return Numbers(
        epochs=len(old.epochs.keys() & new.epochs.keys()),
        updates=len(old.updates.keys() & new.updates.keys()),
        compared=compared,
        unequal=unequal,
        first_unequal=first_unequal,
        first_beyond=first_beyond,
        largest=largest_loss or largest,
        added=tuple(sorted(_names(new) - _names(old))) if old.last == new.last else (),
    )


def compare_checkpoints(old: Past, new: Past) -> Checkpoints:
    """Compare the SHA-256 of every array, and the state of training, of the checkpoints that both runs have."""
    both = tuple(sorted(old.manifests.keys() & new.manifests.keys()))
    unequal = {epoch: found for epoch in both if (found := _unequal(old.manifests[epoch], new.manifests[epoch]))}
    ends = {epoch for past in (old, new) if past.final_epoch is not None for epoch in (past.last, past.final_epoch)}
    are_both_there = None not in (old.final_epoch, new.final_epoch)
    return Checkpoints(
        compared=both,
        unequal=unequal,
        initial_equal=None if 0 not in both else not any(name.endswith(".npy") for name in unequal.get(0, ())),
        final_equal=ends <= {*both} - unequal.keys() if are_both_there else None,
    )


def _pairs(old: Past, new: Past) -> Iterator[Departure]:
    """Yield the same number of both runs: epoch by epoch, what stands once, update by update."""
    for epoch in sorted(old.epochs):
        for name, value in old.epochs[epoch].items():
            yield Departure(name, epoch, value, new.epochs.get(epoch, {}).get(name))
    for epoch in sorted(new.epochs.keys() - old.epochs.keys()):
        if not old.was_cut_short:
            for name, value in new.epochs[epoch].items():
                yield Departure(name, epoch, None, value)
    for name, value in old.summary.items():
        if not old.was_cut_short:
            yield Departure(name, old.last, value, new.summary.get(name))
    both = old.updates and new.updates
    for step in sorted(old.updates) if both else ():
        for name, value in old.updates[step].items():
            yield Departure(name, step, value, new.updates.get(step, {}).get(name))


def _are_nan(old: float | None, new: float | None) -> bool:
    return old is not None and new is not None and math.isnan(old) and math.isnan(new)


def _names(past: Past) -> set[str]:
    return {name for values in past.epochs.values() for name in values} | {*past.summary}


def _unequal(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    files = sorted(old["files"].keys() | new["files"].keys())
    hashes = [[manifest["files"].get(name, {}).get("sha256") for name in files] for manifest in (old, new)]
    states = [name for name in _STATE if name in old and _canonical(old[name]) != _canonical(new.get(name))]
    return (*(name for name, then, now in zip(files, *hashes, strict=True) if then != now), *states)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # as text NaN equals NaN
