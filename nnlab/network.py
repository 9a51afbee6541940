"""Network: a trained network to be used, out of a checkpoint or a running stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab import checkpoint
from nnlab.build import Stack
from nnlab.build_network import build_layers, build_network
from nnlab.components import Component
from nnlab.config import Architecture
from nnlab.errors import NnlabError
from nnlab.nn.sequential import Sequential

_CHUNK = 4096  # samples forwarded at once


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
    arrays, manifest = checkpoint.read(checkpoint.find(Path(directory), which))
    described = manifest["network"]
    architecture = Architecture.model_validate(described["architecture"])
    activation = Component.model_validate(described["activation"])
    for component in (architecture, architecture.output_activation, activation):
        component.check_shipped(str(directory))
    layers = build_layers(architecture, activation, described["in_features"], described["out_features"])
    network = Sequential(layers, dtype=described["dtype"])
    state = {name: array for name, array in arrays.items() if not name.startswith(("optimizer.", "input."))}
    try:
        network.load_state_dict(state)
    except ValueError as error:
        raise NnlabError(f"{directory}: {error}") from error
    return Network(
        network, arrays.get("input.mean"), arrays.get("input.std"), tuple(manifest["class_names"]), manifest["epoch"]
    )
