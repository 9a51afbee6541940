"""Derivatives by central differences, the independent witness of every ``backward``."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def central_differences(function: Callable[[], float], x: NDArray[Any], h: float = 1e-5) -> Float:
    """Return d function() / dx elementwise; ``function`` reads ``x``, which is changed and restored in place."""
    grad = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + h
        above = function()
        x[index] = kept - h
        below = function()
        x[index] = kept
        grad[index] = (above - below) / (2 * h)
    return grad


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Float:
    """Draw numbers of either sign between 0.1 and 2: no difference quotient crosses relu's kink."""
    draw: Float = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 2.0, shape)
    return draw


def one_hot(rng: np.random.Generator, replicas: int, classes: int, batch: int) -> Float:
    """Draw targets ``[replicas, classes, batch]``."""
    return np.eye(classes)[rng.integers(classes, size=(replicas, batch))].swapaxes(1, 2)
