"""Architectures: a function each, from sizes to the list of layers that ``Sequential`` chains."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from nnlab.nn.activations import Identity
from nnlab.nn.linear import Linear
from nnlab.nn.module import Module


def mlp(
    in_features: int,
    out_features: int,
    activation: Callable[[], Module],
    output_activation: Callable[[], Module] = Identity,
    *,
    hidden_sizes: list[int],
) -> list[Module]:
    """Return Linear layers with an activation behind each.

    ``mlp(784, 10, ReLU, hidden_sizes=[128, 64])`` is Linear(784 -> 128), ReLU, Linear(128 -> 64), ReLU,
    Linear(64 -> 10); an ``output_activation`` other than Identity follows the last one.

    Raises:
        ValueError: a size below 1.
    """
    sizes = [in_features, *hidden_sizes, out_features]
    if min(sizes) < 1:
        raise ValueError(f"every size must be at least 1, got hidden_sizes={hidden_sizes}")
    layers: list[Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [Linear(before, after), activation()]
    layers[-1] = output_activation()
    return layers[:-1] if isinstance(layers[-1], Identity) else layers
