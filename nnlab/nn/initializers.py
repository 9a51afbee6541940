"""Initialisers: (rng, shape) -> float64 array of that shape, for one replica's weight ``[out, in]`` or bias ``[out]``.

Draws are float64 whatever the network's dtype, so a float32 and a float64 run of one seed start from the same numbers.
fan_in and fan_out are a weight's second and first size; those who need them raise ValueError for a bias.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Draw: TypeAlias = NDArray[np.float64]


def normal(rng: np.random.Generator, shape: Shape, *, mean: float = 0.0, std: float = 1.0) -> Draw:
    """N(mean, std^2)."""
    _at_least_zero("std", std)
    return rng.normal(mean, std, shape)


def uniform(rng: np.random.Generator, shape: Shape, *, low: float = 0.0, high: float = 1.0) -> Draw:
    """Uniform in [low, high)."""
    if not low <= high:
        raise ValueError(f"low must not exceed high, got low={low}, high={high}")
    return rng.uniform(low, high, shape)


def xavier_normal(rng: np.random.Generator, shape: Shape, *, gain: float = 1.0) -> Draw:
    """N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    _at_least_zero("gain", gain)
    fan_in, fan_out = _fans(shape)
    return rng.normal(0.0, gain * math.sqrt(2 / (fan_in + fan_out)), shape)


def xavier_uniform(rng: np.random.Generator, shape: Shape, *, gain: float = 1.0) -> Draw:
    """Uniform in [-bound, bound), bound = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    _at_least_zero("gain", gain)
    fan_in, fan_out = _fans(shape)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def kaiming_normal(
    rng: np.random.Generator,
    shape: Shape,
    *,
    gain: float = math.sqrt(2),
    mode: Literal["fan_in", "fan_out"] = "fan_in",
) -> Draw:
    """N(0, std^2), std = gain / sqrt(fan) (He et al. 2015); the default gain is relu's."""
    _at_least_zero("gain", gain)
    return rng.normal(0.0, gain / math.sqrt(_fan(shape, mode)), shape)


def kaiming_uniform(
    rng: np.random.Generator,
    shape: Shape,
    *,
    gain: float = math.sqrt(2),
    mode: Literal["fan_in", "fan_out"] = "fan_in",
) -> Draw:
    """Uniform in [-bound, bound), bound = gain sqrt(3 / fan) (He et al. 2015); the default gain is relu's."""
    _at_least_zero("gain", gain)
    bound = gain * math.sqrt(3 / _fan(shape, mode))
    return rng.uniform(-bound, bound, shape)


def constant(rng: np.random.Generator, shape: Shape, *, value: float) -> Draw:  # noqa: ARG001 - the common signature
    """The same value everywhere."""
    return np.full(shape, value, np.float64)


def zeros(rng: np.random.Generator, shape: Shape) -> Draw:  # noqa: ARG001 - the common signature
    """Zero everywhere: right for biases; weights that start equal stay equal."""
    return np.zeros(shape, np.float64)


def _fans(shape: Shape) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError("it needs fan_in and fan_out, which a bias does not have: take normal, uniform or constant")
    return shape[1], shape[0]


def _fan(shape: Shape, mode: Literal["fan_in", "fan_out"]) -> int:
    fan_in, fan_out = _fans(shape)
    return fan_in if mode == "fan_in" else fan_out


def _at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
