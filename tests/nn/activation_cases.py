"""Every activation beside its formula and its derivative, for one number, from the ``math`` module."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from nnlab.nn import Module
from nnlab.nn.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from nnlab.nn.smooth_activations import ELU, GELU, SELU, SiLU, Softplus

Function = Callable[[float], float]


@dataclass(frozen=True)
class Case:
    """An activation, f, f', and what is to come out far from 0: f(-1e4), f'(-1e4), f(1e4), f'(1e4)."""

    make: Callable[[], Module]
    f: Function
    derivative: Function
    far: tuple[float, float, float, float] = (0.0, 0.0, 1e4, 1.0)


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def phi(z: float) -> float:
    """The standard normal law's P(Z <= z)."""
    return math.erfc(-z / math.sqrt(2)) / 2


def bell(z: float) -> float:
    """The standard normal law's density."""
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def u(z: float) -> float:
    return math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)


def tanh_gelu_derivative(z: float) -> float:
    sech_squared = 1 / math.cosh(u(z)) ** 2 if abs(u(z)) < 300 else 0.0
    return logistic(2 * u(z)) + z / 2 * sech_squared * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)


def elu(alpha: float, scale: float = 1.0) -> tuple[Function, Function]:
    return (
        lambda z: scale * (z if z > 0 else alpha * math.expm1(z)),
        lambda z: scale * (1 if z > 0 else alpha * math.exp(z)),
    )


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

CASES: dict[str, Case] = {
    "identity": Case(Identity, lambda z: z, lambda z: 1.0, (-1e4, 1.0, 1e4, 1.0)),
    "sigmoid": Case(Sigmoid, logistic, lambda z: logistic(z) * logistic(-z), (0.0, 0.0, 1.0, 0.0)),
    "tanh": Case(Tanh, math.tanh, lambda z: 1 / math.cosh(z) ** 2, (-1.0, 0.0, 1.0, 0.0)),
    "relu": Case(ReLU, lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "relu, f'(0) = 1": Case(lambda: ReLU(derivative_at_zero=1), lambda z: max(z, 0.0), lambda z: float(z >= 0)),
    "leaky_relu": Case(
        LeakyReLU,
        lambda z: z if z > 0 else 0.01 * z,
        lambda z: 1.0 if z > 0 else 0.01,
        (-100.0, 0.01, 1e4, 1.0),
    ),
    "leaky_relu, 0.2": Case(
        lambda: LeakyReLU(negative_slope=0.2),
        lambda z: z if z > 0 else 0.2 * z,
        lambda z: 1.0 if z > 0 else 0.2,
        (-2000.0, 0.2, 1e4, 1.0),
    ),
    "elu": Case(ELU, *elu(1.0), far=(-1.0, 0.0, 1e4, 1.0)),
    "elu, alpha = 2.5": Case(lambda: ELU(alpha=2.5), *elu(2.5), far=(-2.5, 0.0, 1e4, 1.0)),
    "selu": Case(
        SELU,
        *elu(SELU_ALPHA, SELU_SCALE),
        far=(-SELU_ALPHA * SELU_SCALE, 0.0, SELU_SCALE * 1e4, SELU_SCALE),
    ),
    "gelu": Case(GELU, lambda z: z * phi(z), lambda z: phi(z) + z * bell(z)),
    "gelu, tanh": Case(lambda: GELU(approximate="tanh"), lambda z: z * (1 + math.tanh(u(z))) / 2, tanh_gelu_derivative),
    "silu": Case(SiLU, lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * logistic(-z))),
    "softplus": Case(Softplus, lambda z: math.log1p(math.exp(z)), logistic),
    "softplus, beta = 3": Case(
        lambda: Softplus(beta=3.0), lambda z: math.log1p(math.exp(3 * z)) / 3, lambda z: logistic(3 * z)
    ),
}
