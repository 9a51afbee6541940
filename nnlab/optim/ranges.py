"""Ranges: the checks that optimisers and schedules share, each one line about the argument and what was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

PerReplica: TypeAlias = float | Sequence[float]
"""One number for the whole stack, or one a replica."""


def above_zero(name: str, value: PerReplica) -> None:
    """Raise ValueError unless all of ``value`` is above 0; NaN never is."""
    if not (np.asarray(value) > 0).all():
        raise ValueError(f"{name} must be above 0, got {value}")


def at_least_zero(name: str, value: PerReplica) -> None:
    """Raise ValueError unless all of ``value`` is 0 or more."""
    if not (np.asarray(value) >= 0).all():
        raise ValueError(f"{name} must be at least 0, got {value}")


def below_one(name: str, value: PerReplica) -> None:
    """Raise ValueError unless all of ``value`` is in [0, 1)."""
    values = np.asarray(value)
    if not ((values >= 0) & (values < 1)).all():
        raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def one_a_replica(name: str, value: PerReplica, replicas: int) -> NDArray[np.float64]:
    """Return a setting as ``[replicas]``.

    Raises:
        ValueError: there are more or fewer values than replicas.
    """
    values = np.atleast_1d(np.asarray(value, np.float64))
    if values.size not in (1, replicas):
        raise ValueError(f"{name} has {values.size} values for {replicas} replicas")
    return np.broadcast_to(values, replicas).copy()


def all_or_none(name: str, values: NDArray[np.float64]) -> bool:
    """Return whether a setting ``[replicas]`` is in use; then each replica does the arithmetic that it does alone.

    Raises:
        ValueError: it is 0 for some replicas only.
    """
    if values.any() != values.all():
        raise ValueError(f"in one stack {name} must be 0 for all replicas or for none")
    return bool(values.all())
