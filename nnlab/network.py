"""Network: a trained network to be used, out of a checkpoint or a running stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from nnlab import checkpoint
from nnlab.build import Stack
from nnlab.build_network import build_layers, build_network, check_size
from nnlab.components import Component, validated
from nnlab.config import Architecture, Positive
from nnlab.errors import NnlabError
from nnlab.nn.sequential import Sequential, without_spurious_warnings
from nnlab.one_line import one_line

_CHUNK = 4096  # samples forwarded at once


class _Described(BaseModel):
    """What a manifest says of the network: how it is built."""

    model_config = ConfigDict(strict=True)

    in_features: Positive
    out_features: Positive
    architecture: Architecture
    activation: Component
    dtype: Literal["float32", "float64"]

    def check(self) -> None:
        """Refuse, before anything is imported, components that nnlab doesn't ship; then check their arguments."""
        components = {
            "architecture": self.architecture,
            "architecture.output_activation": self.architecture.output_activation,
            "activation": self.activation,
            **{f"architecture.activations.{key}": node for key, node in self.architecture.activations.items()},
        }
        for where, component in components.items():
            component.check_shipped(where)
        for where, component in components.items():
            component.check(where)


class _Saved(BaseModel):
    """What a manifest says of a network to be used."""

    model_config = ConfigDict(strict=True)

    network: _Described
    class_names: list[str]
    epoch: int


@dataclass(eq=False)
class Network:
    """One trained network.

    Attributes:
        sequential: its layers, a stack of one.
        mean: what is subtracted from the inputs, ``[features]``; None if nothing is.
        std: what they are then divided by, ``[features]``.
        class_names: by label.
        epoch: that it was saved after.
    """

    sequential: Sequential
    mean: NDArray[Any] | None
    std: NDArray[Any] | None
    class_names: tuple[str, ...]
    epoch: int | None = None

    @classmethod
    def of_stack(cls, stack: Stack, replica: int) -> Network:
        """Return a copy of one replica of a stack."""
        network = build_network(stack.configs[replica], stack.dataset)
        network.load_state_dict(stack.network.state_dict(replica))
        used = stack.standardization[replica]
        return cls(network, used.get("input.mean"), used.get("input.std"), stack.dataset.class_names)

    def outputs(self, x: ArrayLike) -> NDArray[Any]:
        """Return the network's outputs (logits, for cross-entropy), ``[n, outputs]``.

        Args:
            x: ``[n, features]``, not standardised: that is done here, as in training. Pixels are in [0, 1].

        Raises:
            NnlabError: the inputs have another shape.
        """
        rows = np.asarray(x, np.float64 if self.mean is not None else self.sequential.dtype)
        features = getattr(self.sequential.layers[0], "in_features", rows.shape[-1])
        self.sequential.eval()
        if rows.ndim != 2 or rows.shape[1] != features:
            raise NnlabError(f"the network takes inputs of shape [n, {features}], got {list(rows.shape)}")
        if self.mean is not None and self.std is not None:
            rows = ((rows - self.mean) / self.std).astype(self.sequential.dtype)
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        with without_spurious_warnings():
            parts = [self.sequential.forward(chunk.T[None])[0].T.copy() for chunk in chunks]
        return np.concatenate(parts) if parts else np.empty((0, len(self.class_names)), self.sequential.dtype)

    def predict(self, x: ArrayLike) -> NDArray[np.int64]:
        """Return the label of the largest output of each sample, ``[n]``; inputs as for ``outputs``."""
        labels: NDArray[np.int64] = self.outputs(x).argmax(axis=1)
        return labels


def load(directory: str | Path, which: str = "last") -> Network:
    """Rebuild a network from a checkpoint; every byte is checked, and nothing in it can run code.

    Args:
        directory: of a run, or a checkpoint's own folder.
        which: ``last``, ``best`` (on val/loss) or an epoch's number.

    Raises:
        NnlabError: there is no such checkpoint, it is damaged, or it names anything but nnlab's own components.
    """
    try:
        folder = checkpoint.find(Path(directory), which)
        arrays, manifest = checkpoint.read(folder)
    except NnlabError as error:
        if not checkpoint.epochs(Path(directory) / "checkpoints"):
            raise
        raise NnlabError(f"{error}; {checkpoint.whole_ones(Path(directory))}") from error
    try:
        return _from_checkpoint(arrays, manifest)
    except (NnlabError, ValueError) as error:
        raise NnlabError(one_line(f"{folder}: {error}")) from error


def _from_checkpoint(arrays: Mapping[str, NDArray[Any]], manifest: Mapping[str, Any]) -> Network:
    saved = validated(_Saved, manifest)
    assert isinstance(saved, _Saved)  # noqa: S101 - what validated() makes
    described = saved.network
    described.check()
    layers = build_layers(described.architecture, described.activation, described.in_features, described.out_features)
    check_size(layers, described.in_features, described.dtype)
    network = Sequential(layers, dtype=described.dtype)
    state = {name: array for name, array in arrays.items() if not name.startswith(("optimizer.", "input."))}
    for name, array in state.items():
        if array.dtype != network.dtype:
            raise NnlabError(f"{name} is {array.dtype}, and network.dtype is {network.dtype}")
    network.load_state_dict(state)
    mean, std = arrays.get("input.mean"), arrays.get("input.std")
    if (mean is None) != (std is None):
        raise NnlabError("input.mean and input.std belong together, and one of them is missing")
    for each in (mean, std):
        if each is not None and (each.shape != (described.in_features,) or not np.isfinite(each).all()):
            raise NnlabError(f"input.mean and input.std should be {described.in_features} finite numbers each")
    if std is not None and not (std > 0).all():
        raise NnlabError("input.std should be above 0 everywhere")
    return Network(network, mean, std, tuple(saved.class_names), saved.epoch)
