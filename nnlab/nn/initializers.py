"""Initialisers: (rng, shape) -> float64 array of that shape, for one replica's weight or bias.

A weight is ``[out, in]``, or ``[out_channels, in_channels, kernel_height, kernel_width]``; a bias is ``[out]``. Draws
are float64 whatever the network's dtype, so a float32 and a float64 run of one seed start from the same numbers. fan_in
and fan_out are a weight's second and first size, times the kernel's area; those who need them raise ValueError for a
bias.
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


def truncated_normal(
    rng: np.random.Generator,
    shape: Shape,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
) -> Draw:
    """N(mean, std^2) cut off at mean + low std and mean + high std: what falls outside is drawn again.

    low and high are multiples of std, as in JAX; PyTorch's ``trunc_normal_`` takes the two ends themselves. The
    result's own standard deviation is below std (0.88 std for +-2).

    Raises:
        ValueError: std below 0, low not below high, or an interval so rare that almost every draw would be thrown away.
    """
    _at_least_zero("std", std)
    if not low < high:
        raise ValueError(f"low must be below high, got low={low}, high={high}")
    kept = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    if kept < 0.01:
        raise ValueError(f"low={low}, high={high} keep {100 * kept:.2g} % of the normal law; at least 1 % is needed")
    draw = rng.standard_normal(shape)
    while (outside := (draw < low) | (draw > high)).any():
        draw[outside] = rng.standard_normal(np.count_nonzero(outside))
    return mean + std * draw


def xavier_normal(rng: np.random.Generator, shape: Shape, *, gain: float = 1.0, count_bias: bool = False) -> Draw:
    """N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio 2010); count_bias adds 1 to the sum."""
    _at_least_zero("gain", gain)
    fan_in, fan_out = _fans(shape)
    return rng.normal(0.0, gain * math.sqrt(2 / (fan_in + fan_out + count_bias)), shape)


def xavier_uniform(rng: np.random.Generator, shape: Shape, *, gain: float = 1.0, count_bias: bool = False) -> Draw:
    """Uniform in [-bound, bound), bound = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).

    count_bias adds 1 to the sum, as some codes do that count the bias among the inputs.
    """
    _at_least_zero("gain", gain)
    fan_in, fan_out = _fans(shape)
    bound = gain * math.sqrt(6 / (fan_in + fan_out + count_bias))
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


def lecun_normal(rng: np.random.Generator, shape: Shape) -> Draw:
    """N(0, std^2), std = 1 / sqrt(fan_in) (LeCun et al. 1998), not truncated; for selu (Klambauer et al. 2017)."""
    return kaiming_normal(rng, shape, gain=1.0)


def lecun_uniform(rng: np.random.Generator, shape: Shape) -> Draw:
    """Uniform in [-bound, bound), bound = sqrt(3 / fan_in) (LeCun et al. 1998)."""
    return kaiming_uniform(rng, shape, gain=1.0)


def orthogonal(rng: np.random.Generator, shape: Shape, *, gain: float = 1.0) -> Draw:
    """A matrix gain Q, the rows of Q (or its columns, if they are fewer) orthonormal, and any such Q equally likely.

    Q is from the QR decomposition of a matrix of standard normals (transposed if it is wide), signs chosen so that R's
    diagonal is positive (Saxe et al. 2014; Mezzadri 2007 on the signs). A convolution's weight is taken as the matrix
    ``[out_channels, in_channels * kernel_height * kernel_width]``.
    """
    _at_least_zero("gain", gain)
    fan_in, _ = _fans(shape)
    normals = rng.standard_normal((shape[0], fan_in))
    is_wide = shape[0] < fan_in
    q, r = np.linalg.qr(normals.T if is_wide else normals)
    q *= np.copysign(gain, np.diagonal(r))
    return np.ascontiguousarray(q.T if is_wide else q).reshape(shape)


def sparse(rng: np.random.Generator, shape: Shape, *, sparsity: float, std: float = 0.01) -> Draw:
    """N(0, std^2), but in each column (the weights of one input) ceil(sparsity * out) entries are 0 (Martens 2010).

    Which ones is drawn for each column. As PyTorch's ``sparse_``, it is for matrices only.

    Raises:
        ValueError: sparsity not between 0 and 1, std below 0, or a shape other than ``[out, in]``.
    """
    _at_least_zero("std", std)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be between 0 and 1, got {sparsity}")
    inputs, outputs = _matrix_fans(shape)
    draw = rng.normal(0.0, std, shape)
    rows = rng.permuted(np.tile(np.arange(outputs)[:, None], inputs), axis=0)
    np.put_along_axis(draw, rows[: math.ceil(sparsity * outputs)], 0, axis=0)
    return draw


def legacy_normal(rng: np.random.Generator, shape: Shape, *, seed: int = 0, skip: int = 0) -> Draw:  # noqa: ARG001
    """What ``np.random.seed(seed); np.random.randn(fan_in, fan_out) / np.sqrt(fan_in)`` draws, as ``[out, in]``.

    NumPy's legacy generator (Mersenne Twister, polar method) and the order ``[in, out]`` give a source's own numbers.
    So rng is not used: they are the same in every run, whatever its seed.

    Args:
        rng: the run's, left alone.
        shape: ``[out, in]``.
        seed: of the legacy generator.
        skip: normals drawn before these, for a source that draws layer after layer: the weights before this one.

    Raises:
        ValueError: seed not between 0 and 2^32 - 1, skip below 0, or a shape other than ``[out, in]``.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, got {seed}")
    _at_least_zero("skip", skip)
    inputs, outputs = _matrix_fans(shape)
    normals = np.random.RandomState(seed).randn(skip + inputs * outputs)[skip:]
    return np.ascontiguousarray(normals.reshape(inputs, outputs).T) / math.sqrt(inputs)


def constant(rng: np.random.Generator, shape: Shape, *, value: float) -> Draw:  # noqa: ARG001 - the common signature
    """The same value everywhere."""
    return np.full(shape, value, np.float64)


def zeros(rng: np.random.Generator, shape: Shape) -> Draw:  # noqa: ARG001 - the common signature
    """Zero everywhere: right for biases; weights that start equal stay equal."""
    return np.zeros(shape, np.float64)


def _fans(shape: Shape) -> tuple[int, int]:
    if len(shape) < 2:
        raise ValueError("it needs fan_in and fan_out, which a bias does not have: take normal, uniform or constant")
    kernel_area = math.prod(shape[2:])
    return shape[1] * kernel_area, shape[0] * kernel_area


def _matrix_fans(shape: Shape) -> tuple[int, int]:
    fans = _fans(shape)
    if len(shape) != 2:
        raise ValueError(f"it is for the weights of a Linear layer, got a weight of shape {list(shape)}")
    return fans


def _fan(shape: Shape, mode: Literal["fan_in", "fan_out"]) -> int:
    fan_in, fan_out = _fans(shape)
    return fan_in if mode == "fan_in" else fan_out


def _at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
