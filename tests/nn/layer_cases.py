"""Every layer, with samples that it takes: what the central differences and the registry of components go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlab.nn import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    Unflatten,
)
from tests.nn.activation_cases import CASES


@dataclass(frozen=True)
class Layer:
    """How to make a layer, the shape of a sample, and whether it is looked at as in evaluation."""

    make: Callable[[], Module]
    sample: tuple[int, ...]
    evaluated: bool = False


LAYERS: dict[str, Layer] = {
    **{name: Layer(case.make, (3,)) for name, case in CASES.items()},
    "linear": Layer(lambda: Linear(3, 2), (3,)),
    "conv": Layer(lambda: Conv2d(2, 3, 2), (2, 3, 4)),
    "conv, strided and padded": Layer(lambda: Conv2d(2, 2, 3, stride=2, padding=1), (2, 4, 5)),
    "max": Layer(lambda: MaxPool2d(2), (2, 4, 5)),
    "max, overlapping and padded": Layer(lambda: MaxPool2d(3, stride=2, padding=1), (2, 4, 5)),
    "avg": Layer(lambda: AvgPool2d(2), (2, 4, 5)),
    "avg, overlapping and padded": Layer(lambda: AvgPool2d(3, stride=1, padding=1), (2, 3, 4)),
    "flatten": Layer(Flatten, (2, 3, 2)),
    "unflatten": Layer(lambda: Unflatten(2, 3, 2), (12,)),
    "dropout": Layer(lambda: Dropout(0.4), (5,)),
    "dropout of images": Layer(lambda: Dropout(0.4), (2, 3, 2)),
    "dropout, evaluated": Layer(lambda: Dropout(0.4), (5,), evaluated=True),
    "batch norm": Layer(lambda: BatchNorm1d(3), (3,)),
    "batch norm, evaluated": Layer(lambda: BatchNorm1d(3), (3,), evaluated=True),
    "batch norm of images": Layer(lambda: BatchNorm2d(2), (2, 3, 2)),
    "batch norm of images, evaluated": Layer(lambda: BatchNorm2d(2), (2, 3, 2), evaluated=True),
}
"""Name -> layer."""


class SameDraws(np.random.Generator):
    """A generator that gives the same uniform numbers at every call: a function of the inputs stays one."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.seed = seed

    def random(self, *arguments: Any, **named: Any) -> Any:
        return np.random.default_rng(self.seed).random(*arguments, **named)
