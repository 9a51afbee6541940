"""Predictions: what two networks of one config say of the run's own data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab import checkpoint
from nnlab.build import Stack, build, load
from nnlab.build_network import network_outputs
from nnlab.config import Config
from nnlab.data.batches import Part
from nnlab.errors import NnlabError
from nnlab.training.evaluation import diverging, evaluate


@dataclass(frozen=True)
class PartChange:
    """Two networks on one part of the data.

    Attributes:
        part: train, val or test.
        samples: how many there are.
        changed: for how many of them another class is predicted.
        loss: exact mean, of the old and of the new network.
        accuracy: likewise.
    """

    part: str
    samples: int
    changed: int
    loss: tuple[float, float]
    accuracy: tuple[float, float]


def changed_predictions(config: Config, old: Path, new: Path) -> list[PartChange]:
    """Compare two checkpoints on each part of the run's data, each with its own standardisation.

    Args:
        config: of both.
        old: folder of a checkpoint.
        new: likewise.

    Raises:
        NnlabError: a checkpoint is damaged, or is none of this config's network.
    """
    stack = build([config])
    then, now = (_evaluated(stack, folder) for folder in (old, new))
    return [
        PartChange(
            name,
            len(labels),
            int(np.count_nonzero(labels != now[name][0])),
            (loss, now[name][1]),
            (accuracy, now[name][2]),
        )
        for name, (labels, loss, accuracy) in then.items()
    ]


def load_checkpoint(stack: Stack, folder: Path) -> dict[str, NDArray[Any]]:
    """Give the stack's network the parameters of a checkpoint and return all its arrays.

    Raises:
        NnlabError: it is damaged, or is none of this network.
    """
    arrays, _ = checkpoint.read(folder)
    parameters = {name: array for name, array in arrays.items() if not name.startswith(("optimizer.", "input."))}
    try:
        stack.network.load_state_dict(parameters)
    except (ValueError, TypeError) as error:
        raise NnlabError(f"{folder} is no checkpoint of its config's network: {error}") from error
    return arrays


@diverging
def _evaluated(stack: Stack, folder: Path) -> dict[str, tuple[NDArray[np.int64], float, float]]:
    """Return predicted labels, loss and accuracy by part."""
    config, data, split = stack.configs[0], stack.dataset, stack.splits[0]
    arrays = load_checkpoint(stack, folder)
    mean, std = (arrays[name][None] if name in arrays else None for name in ("input.mean", "input.std"))
    shapes = {None if each is None else each.shape for each in (mean, std)}
    if shapes != {(1, data.features) if data.standardize else None}:
        raise NnlabError(f"{folder} is no checkpoint of its config's network: its inputs are standardised otherwise")
    dtype = config.training.dtype
    _, x = load(config.dataset, dtype)
    found = {}
    for name in stack.parts:
        part = Part(x, data.y, network_outputs(config, data), getattr(split, name)[None], mean, std, dtype)
        loss, accuracy = evaluate(stack.network, stack.loss, part)
        labels = [stack.network.forward(batch.x)[0].argmax(axis=0) for batch in part.chunks()]
        found[name] = np.concatenate(labels), float(loss[0]), float(accuracy[0])
    return found
