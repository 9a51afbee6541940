"""Architectures: a function each, from sizes to the list of layers that ``Sequential`` chains."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

from nnlab.nn.activations import Identity
from nnlab.nn.batch_norm import BatchNorm1d, BatchNorm2d
from nnlab.nn.conv import Conv2d
from nnlab.nn.dropout import Dropout
from nnlab.nn.linear import Linear
from nnlab.nn.module import Module
from nnlab.nn.pooling import AvgPool2d, MaxPool2d
from nnlab.nn.shape import Flatten, Unflatten

MOST_HIDDEN = 1000
"""Hidden layers of an ``mlp``: a checkpoint of somebody else's may ask for millions, which take minutes to make."""


def linear(
    in_features: int,
    out_features: int,
    activation: Callable[[], Module],
    output_activation: Callable[[], Module] = Identity,
) -> list[Module]:
    """Return a linear model: one Linear layer; an ``output_activation`` other than Identity follows it.

    Raises:
        ValueError: a size below 1.
    """
    return mlp(in_features, out_features, activation, output_activation, hidden_sizes=[])


def mlp(
    in_features: int,
    out_features: int,
    activation: Callable[[], Module],
    output_activation: Callable[[], Module] = Identity,
    *,
    hidden_sizes: list[int],
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> list[Module]:
    """Return Linear layers with an activation behind each.

    ``mlp(784, 10, ReLU, hidden_sizes=[128, 64])`` is Linear(784 -> 128), ReLU, Linear(128 -> 64), ReLU,
    Linear(64 -> 10); an ``output_activation`` other than Identity follows the last one.

    Args:
        in_features: of a sample.
        out_features: of the network.
        activation: makes the one of a hidden layer.
        output_activation: makes the last one.
        hidden_sizes: from input to output.
        batch_norm: put a BatchNorm1d between each hidden layer and its activation.
        dropout: probability p of a Dropout behind each hidden layer's activation; 0 for none.

    Raises:
        ValueError: a size below 1, or a dropout outside of [0, 1).
    """
    if min(in_features, *hidden_sizes, out_features) < 1:
        raise ValueError(f"every size must be at least 1, got hidden_sizes={hidden_sizes}")
    if len(hidden_sizes) > MOST_HIDDEN:
        raise ValueError(f"there may be {MOST_HIDDEN:,} hidden layers at most, got {len(hidden_sizes):,}")
    layers: list[Module] = []
    for before, after in itertools.pairwise([in_features, *hidden_sizes]):
        layers.append(Linear(before, after))
        if batch_norm:
            layers.append(BatchNorm1d(after))
        layers.append(activation())
        if dropout:
            layers.append(Dropout(dropout))
    layers.append(Linear([in_features, *hidden_sizes][-1], out_features))
    last = output_activation()
    return layers if isinstance(last, Identity) else [*layers, last]


def lenet(
    in_features: int,
    out_features: int,
    activation: Callable[[], Module],
    output_activation: Callable[[], Module] = Identity,
    *,
    channels: list[int],
    hidden_sizes: list[int],
    kernel_size: int = 5,
    pooling: Literal["max", "avg"] = "max",
    in_channels: int = 1,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> list[Module]:
    """Return LeNet-5 as it is taught today (LeCun et al. 1998): convolutions and pooling, then an ``mlp``.

    Each of the convolutions has an activation and pooling of 2 x 2 behind it. The first keeps the image's size (padding
    kernel_size // 2), the others shrink it by kernel_size - 1. With channels=[6, 16]
    and hidden_sizes=[120, 84], a 28 x 28 image becomes 6 x 28 x 28,
    6 x 14 x 14, 16 x 10 x 10, 16 x 5 x 5 = 400 features, then 120, 84 and ``out_features``.

    Args:
        in_features: of a sample: in_channels square images, row by row.
        out_features: of the network.
        activation: makes the one of a convolution or hidden layer.
        output_activation: makes the last one.
        channels: filters of each convolution, from input to output.
        hidden_sizes: of the ``mlp``, from input to output.
        kernel_size: rows and columns of a filter.
        pooling: the maximum or the mean of each 2 x 2 window.
        in_channels: 1 for grey images, 3 for coloured ones.
        batch_norm: put a BatchNorm2d or BatchNorm1d in front of each activation.
        dropout: probability p of a Dropout behind each hidden layer's activation; 0 for none.

    Raises:
        ValueError: a size below 1, samples that are no square images, an image too small for the layers, or a dropout
            outside of [0, 1).
    """
    if not channels or min(in_channels, kernel_size, *channels) < 1:
        raise ValueError(
            f"channels must name at least one convolution and every size be at least 1, got channels={channels}, "
            f"kernel_size={kernel_size}, in_channels={in_channels}"
        )
    pools = {"max": MaxPool2d, "avg": AvgPool2d}
    if pooling not in pools:
        raise ValueError(f"pooling must be max or avg, got {pooling}")
    side = math.isqrt(in_features // in_channels)
    if in_channels * side**2 != in_features:
        raise ValueError(
            f"lenet takes square images, and {in_features} features are not in_channels={in_channels} of them; "
            "set in_channels or take architecture=mlp"
        )
    layers: list[Module] = [Unflatten(in_channels, side, side)]
    size = side
    for position, (before, after) in enumerate(itertools.pairwise([in_channels, *channels])):
        padding = 0 if position else kernel_size // 2
        size = (size + 2 * padding - kernel_size + 1) // 2
        if size < 1:
            raise ValueError(
                f"images of {side} x {side} are too small for kernel_size={kernel_size} and "
                f"channels={channels}: make kernel_size smaller or channels shorter"
            )
        layers.append(Conv2d(before, after, kernel_size, padding=padding))
        if batch_norm:
            layers.append(BatchNorm2d(after))
        layers += [activation(), pools[pooling](2)]
    head = mlp(
        channels[-1] * size**2,
        out_features,
        activation,
        output_activation,
        hidden_sizes=hidden_sizes,
        batch_norm=batch_norm,
        dropout=dropout,
    )
    return [*layers, Flatten(), *head]
