"""Activations with an exponential in them: ELU, SELU, Softplus, and the self-gated SiLU and GELU.

The conventions are those of activations.py. No formula below takes exp of a positive number, or it says what becomes of
an overflow, so that z of any size gives the limit and no warning.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from nnlab.nn.activations import Sigmoid, positive_part
from nnlab.nn.erf import erfc
from nnlab.nn.module import Array, Module


class ELU(Module):
    """f(z) = z for z > 0, else alpha (exp(z) - 1); f'(z) = 1 for z > 0, else alpha exp(z) (Clevert et al. 2016).

    f'(0) = alpha, as in PyTorch.

    Args:
        alpha: at least 0; f falls to -alpha.
    """

    def __init__(self, *, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha must be at least 0 and finite, got {alpha}")
        self._alpha = alpha

    def forward(self, x: Array) -> Array:
        """Map z to values of at least -alpha."""
        self.z = x
        self.e = self.buffer("e", x.shape, x.dtype)  # exp(min(0, z)) - 1
        np.clip(x, -np.inf, 0, out=self.e)
        np.expm1(self.e, out=self.e)
        a: Array = self.buffer("a", x.shape, x.dtype)
        below_zero = self.buffer("slope", x.shape, x.dtype)
        np.multiply(self.e, self._alpha, out=below_zero)
        positive_part(x, a)
        a += below_zero
        return a

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * exp(min(0, z)), times alpha where z <= 0."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.less_equal(self.z, 0, out=slope)
        slope *= self._alpha - 1
        slope += 1  # alpha where z <= 0, else 1
        grad *= slope
        np.add(self.e, 1, out=slope)
        grad *= slope
        return grad


class SELU(ELU):
    """f(z) = scale ELU(z; alpha), with the constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""

    ALPHA = 1.6732632423543772848170429916717
    SCALE = 1.0507009873554804934193349852946

    def __init__(self) -> None:
        super().__init__(alpha=self.ALPHA)

    def forward(self, x: Array) -> Array:
        """Map z to values of at least -scale alpha = -1.758."""
        a = super().forward(x)
        a *= self.SCALE
        return a

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * scale * ELU'(z)."""
        if not input_grad:
            return None
        grad *= self.SCALE
        return super().backward(grad)


class Softplus(Module):
    """f(z) = log(1 + exp(beta z)) / beta, f'(z) = 1 / (1 + exp(-beta z)).

    It is computed as max(0, z) + log(1 + exp(-beta |z|)) / beta, which is exact for any z. PyTorch takes z itself where
    beta z > 20; the two agree to 2.1e-9 / beta, their derivatives to 2.1e-9.

    Args:
        beta: above 0; the larger, the closer to relu.
    """

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        if not 0 < beta < math.inf:
            raise ValueError(f"beta must be above 0 and finite, got {beta}")
        self._beta = beta

    def forward(self, x: Array) -> Array:
        """Map z to values above 0."""
        self.a = self.buffer("a", x.shape, x.dtype)
        np.abs(x, out=self.a)
        self.a *= -self._beta
        np.exp(self.a, out=self.a)
        np.log1p(self.a, out=self.a)
        self.a /= self._beta
        self.a += positive_part(x, self.buffer("slope", x.shape, x.dtype))
        return self.a

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * (1 - exp(-beta a)), which is grad / (1 + exp(-beta z))."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.multiply(self.a, -self._beta, out=slope)
        np.expm1(slope, out=slope)
        np.negative(slope, out=slope)
        grad *= slope
        return grad


class SelfGated(Module):
    """f(z) = z g(z), f'(z) = g(z) + z g'(z), where the gate g is an activation that rises from 0 to 1."""

    def __init__(self, gate: Module) -> None:
        super().__init__()
        self._gate = gate

    def forward(self, x: Array) -> Array:
        """Let z through the gate."""
        self.z = x
        self.g = self._gate.forward(x)
        a: Array = self.buffer("a", x.shape, x.dtype)
        return np.multiply(x, self.g, out=a)

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * (g + z g')."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.copyto(slope, self.z)
        self._gate.backward(slope)
        slope += self.g
        grad *= slope
        return grad


class SiLU(SelfGated):
    """f(z) = z g(z), the gate g being Sigmoid (Elfwing et al. 2018; also known as swish)."""

    def __init__(self) -> None:
        super().__init__(Sigmoid())


class GELU(SelfGated):
    """f(z) = z g(z), the gate g being NormalCDF or its approximation TanhCDF (Hendrycks & Gimpel 2016).

    Args:
        approximate: none = the exact gate, tanh = the approximate one, which is faster.
    """

    def __init__(self, *, approximate: Literal["none", "tanh"] = "none") -> None:
        gates: dict[str, type[Module]] = {"none": NormalCDF, "tanh": TanhCDF}
        if approximate not in gates:
            raise ValueError(f"approximate must be none or tanh, got {approximate}")
        super().__init__(gates[approximate]())


class NormalCDF(Module):
    """g(z) = P(Z <= z) for a standard normal Z = erfc(-z / sqrt(2)) / 2, g'(z) = exp(-z^2 / 2) / sqrt(2 pi)."""

    def forward(self, x: Array) -> Array:
        """Map z to values in [0, 1]."""
        self.z = x
        g: Array = self.buffer("g", x.shape, x.dtype)
        np.multiply(x, -math.sqrt(0.5), out=g)
        erfc(g, out=g)
        g *= 0.5
        return g

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * exp(-z^2 / 2) / sqrt(2 pi)."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.multiply(self.z, self.z, out=slope)
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= 1 / math.sqrt(2 * math.pi)
        grad *= slope
        return grad


class TanhCDF(Module):
    """g(z) = (1 + tanh u) / 2, u = c (z + 0.044715 z^3), c = sqrt(2 / pi); g'(z) = 2 g (1 - g) u'."""

    C = math.sqrt(2 / math.pi)
    CUBIC = 0.044715

    def forward(self, x: Array) -> Array:
        """Map z to values in [0, 1]."""
        self.z = x
        self.g = self.buffer("g", x.shape, x.dtype)
        np.multiply(x, x, out=self.g)
        self.g *= self.C * self.CUBIC
        self.g += self.C
        self.g *= x
        np.tanh(self.g, out=self.g)
        self.g += 1
        self.g *= 0.5
        return self.g

    def backward(self, grad: Array, *, input_grad: bool = True) -> Array | None:
        """Return grad * 2 g (1 - g) u', u' = c (1 + 3 * 0.044715 z^2)."""
        if not input_grad:
            return None
        slope = self.buffer("slope", grad.shape, grad.dtype)
        np.subtract(1, self.g, out=slope)
        slope *= self.g
        grad *= slope
        np.multiply(self.z, self.z, out=slope)
        slope *= 6 * self.C * self.CUBIC
        slope += 2 * self.C
        grad *= slope
        return grad
