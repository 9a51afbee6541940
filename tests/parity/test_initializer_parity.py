"""Every initialiser of ``conf/``: weight by weight from its formula and the same draws, and its distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.nn.test_special_initializers import gram_schmidt, kolmogorov_smirnov, phi
from tests.trajectories.conf import component

Shape = tuple[int, ...]
Law = Callable[[float], float]


def fans(shape: Shape) -> tuple[int, int]:
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def normals(std: Callable[[int, int], float], mean: float = 0.0) -> Callable[..., Iterator[float]]:
    """One standard normal a weight, times what the fans give."""

    def formula(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
        for _ in range(math.prod(shape)):
            yield mean + std(*fans(shape)) * rng.standard_normal()

    return formula


def uniforms(bound: Callable[[int, int], float]) -> Callable[..., Iterator[float]]:
    """One number of [0, 1) a weight, stretched to [-bound, bound)."""

    def formula(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
        for _ in range(math.prod(shape)):
            yield bound(*fans(shape)) * (2 * rng.random() - 1)

    return formula


def truncated(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
    """All are drawn once, then those outside again, in their order, until there are none."""
    drawn = [rng.standard_normal() for _ in range(math.prod(shape))]
    while outside := [n for n, z in enumerate(drawn) if not -1.5 <= z <= 2]:
        for n in outside:
            drawn[n] = rng.standard_normal()
    yield from (0.3 + 0.5 * z for z in drawn)


def orthogonal(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
    """Gram and Schmidt's way with the draws, along the longer side."""
    fan_in = fans(shape)[0]
    drawn = np.array([rng.standard_normal() for _ in range(math.prod(shape))]).reshape(shape[0], fan_in)
    basis = gram_schmidt(drawn.T).T if shape[0] < fan_in else gram_schmidt(drawn)
    yield from (1.5 * basis).ravel()


def sparse(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
    """Of each column, the rows that come first in a random order are 0."""
    outputs, inputs = shape[0], fans(shape)[0]
    drawn = [[0.2 * rng.standard_normal() for _ in range(inputs)] for _ in range(outputs)]
    order = rng.permuted(np.tile(np.arange(outputs)[:, None], inputs), axis=0)
    for column in range(inputs):
        for row in order[: math.ceil(0.4 * outputs), column]:
            drawn[row][column] = 0.0
    for line in drawn:
        yield from line


def legacy(rng: np.random.Generator, shape: Shape) -> Iterator[float]:
    """After 3 normals of ``np.random.seed(7)``, one a weight, all outputs of an input before the next input's."""
    outputs, inputs = shape
    source = np.random.RandomState(7)
    for _ in range(3):
        source.randn()
    drawn = {(row, column): source.randn() / inputs**0.5 for column in range(inputs) for row in range(outputs)}
    for place in np.ndindex(shape):
        yield drawn[place[0], place[1]]


def normal_law(std: float, mean: float = 0.0) -> Law:
    return lambda x: phi((x - mean) / std)


def uniform_law(bound: float) -> Law:
    return lambda x: (x + bound) / (2 * bound)


@dataclass(frozen=True)
class Reference:
    """What an initialiser with these arguments is held against.

    Attributes:
        formula: generator, shape -> the weights one after the other.
        law: the distribution of a weight of shape ``shape``; None where nothing is random.
        arguments: of the initialiser.
        shape: of each draw for the distribution; only its first weight counts where ``is_first`` says that the others
            depend on it.
        is_nonzero: the law is of the weights that are not 0.
    """

    formula: Callable[..., Iterator[float]]
    law: Law | None
    arguments: dict[str, Any] = field(default_factory=dict)
    shape: Shape = (40, 250)
    is_first: bool = False
    is_nonzero: bool = False


# fan_in = 250 and fan_out = 40 in the laws.
INITIALIZERS: dict[str, Reference] = {
    "constant": Reference(lambda rng, shape: iter([0.7] * math.prod(shape)), None, {"value": 0.7}),
    "kaiming_normal": Reference(
        normals(lambda fan_in, fan_out: 1.2 / fan_out**0.5),
        normal_law(1.2 / 40**0.5),
        {"gain": 1.2, "mode": "fan_out"},
    ),
    "kaiming_uniform": Reference(
        uniforms(lambda fan_in, fan_out: (2 * 3 / fan_in) ** 0.5),
        uniform_law((2 * 3 / 250) ** 0.5),
        {"gain": 2**0.5, "mode": "fan_in"},
    ),
    "lecun_normal": Reference(normals(lambda fan_in, fan_out: (1 / fan_in) ** 0.5), normal_law((1 / 250) ** 0.5)),
    "lecun_uniform": Reference(uniforms(lambda fan_in, fan_out: (3 / fan_in) ** 0.5), uniform_law((3 / 250) ** 0.5)),
    "legacy_normal": Reference(legacy, normal_law((1 / 250) ** 0.5), {"seed": 7, "skip": 3}),
    "normal": Reference(normals(lambda *_: 0.3, 0.1), normal_law(0.3, 0.1), {"mean": 0.1, "std": 0.3}),
    # A coordinate of a random point of the sphere is uniform: Archimedes' theorem of the hat box.
    "orthogonal": Reference(orthogonal, uniform_law(1.5), {"gain": 1.5}, shape=(3, 3), is_first=True),
    "sparse": Reference(sparse, normal_law(0.2), {"sparsity": 0.4, "std": 0.2}, is_nonzero=True),
    "truncated_normal": Reference(
        truncated,
        lambda x: (phi((x - 0.3) / 0.5) - phi(-1.5)) / (phi(2.0) - phi(-1.5)),
        {"mean": 0.3, "std": 0.5, "low": -1.5, "high": 2.0},
    ),
    "uniform": Reference(uniforms(lambda *_: 0.9), uniform_law(0.9), {"low": -0.9, "high": 0.9}),
    "xavier_normal": Reference(
        normals(lambda fan_in, fan_out: 1.1 * (2 / (fan_in + fan_out + 1)) ** 0.5),
        normal_law(1.1 * (2 / 291) ** 0.5),
        {"gain": 1.1, "count_bias": True},
    ),
    "xavier_uniform": Reference(
        uniforms(lambda fan_in, fan_out: 1.3 * (6 / (fan_in + fan_out)) ** 0.5),
        uniform_law(1.3 * (6 / 290) ** 0.5),
        {"gain": 1.3, "count_bias": False},
    ),
    "zeros": Reference(lambda rng, shape: iter([0.0] * math.prod(shape)), None),
}
"""Choice of ``conf/initializer`` -> what it is held against."""

MATRICES_ONLY = ("legacy_normal", "sparse")


def drawn(choice: str, rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    values: NDArray[np.float64] = component("initializer", choice)(rng, shape, **INITIALIZERS[choice].arguments)
    return values


@pytest.mark.parametrize("choice", INITIALIZERS)
@given(
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 6),
    kernel=st.sampled_from([(), (1, 1), (3, 3), (2, 1)]),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=15)
def test_each_weight_is_the_formulas(choice: str, outputs: int, inputs: int, kernel: Shape, seed: int) -> None:
    shape = (outputs, inputs, *(() if choice in MATRICES_ONLY else kernel))
    expected = list(INITIALIZERS[choice].formula(np.random.default_rng(seed), shape))
    weights = drawn(choice, np.random.default_rng(seed), shape)
    assert weights.shape == shape
    assert weights.dtype == np.float64
    np.testing.assert_allclose(weights.ravel(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("choice", [name for name, reference in INITIALIZERS.items() if reference.law])
def test_weights_follow_the_law(choice: str) -> None:
    reference, rng = INITIALIZERS[choice], np.random.default_rng(5)
    repeats = 2000 if reference.is_first else 1
    sample = np.stack([drawn(choice, rng, reference.shape).ravel() for _ in range(repeats)])
    weights = sample[:, 0] if reference.is_first else sample.ravel()
    if reference.is_nonzero:
        weights = weights[weights != 0]
    assert reference.law is not None
    assert kolmogorov_smirnov(weights, reference.law) < 2.7
