"""Snapshot: where one run of a stack stands between two epochs, to be saved and to be gone on from.

A run's numbers don't depend on its stack, so a snapshot may be restored into another one: that is how an interrupted
run is resumed, and how the runs of a stack go on in a smaller one when others have ended.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.build import Stack
from nnlab.errors import NnlabError
from nnlab.training import EpochResult

_OPTIMIZER = "optimizer."


class Snapshot(NamedTuple):
    """A run's arrays, by the names of a checkpoint's files, and the manifest that goes with them."""

    arrays: dict[str, NDArray[Any]]
    manifest: dict[str, Any]

    @property
    def epoch(self) -> int:
        """That it stands after."""
        return int(self.manifest["epoch"])


def take(stack: Stack, replica: int, result: EpochResult) -> Snapshot:
    """Return copies of a run's arrays, and where its training stands after an epoch."""
    arrays = {name: array.copy() for name, array in stack.network.state_dict(replica).items()}
    optimizer = stack.optimizer.state_dict(replica)
    arrays |= {f"{_OPTIMIZER}{name}": array.copy() for name, array in optimizer.items()}
    arrays |= stack.standardization[replica]
    states = {name: stream.bit_generator.state for name, stream in stack.streams[replica]._asdict().items()}
    manifest = {"epoch": result.epoch, "step": result.step, "random_states": states}
    if replica in stack.plateaus:
        manifest["schedule_state"] = stack.plateaus[replica].state_dict()
    if stack.early_stopping:
        manifest["early_stopping"] = stack.early_stopping.state_dict(replica)
    return Snapshot(arrays, manifest)


def restore(stack: Stack, replica: int, snapshot: Snapshot) -> None:
    """Put a run of a newly built stack where a snapshot was taken; all of a stack have to be from the same epoch.

    Raises:
        NnlabError: the snapshot is not of such a run.
    """
    arrays, manifest = snapshot
    for name, own in stack.standardization[replica].items():
        if name not in arrays or not np.array_equal(own, arrays[name]):
            raise NnlabError(f"{name} of the checkpoint is not what the data gives now")
    load_network(stack, replica, snapshot)
    try:
        names = [name for name in arrays if name.startswith(_OPTIMIZER)]
        stack.optimizer.load_state_dict({name.removeprefix(_OPTIMIZER): arrays[name] for name in names}, replica)
        for name, stream in stack.streams[replica]._asdict().items():
            stream.bit_generator.state = manifest["random_states"][name]
        if replica in stack.plateaus:
            stack.plateaus[replica].load_state_dict(manifest["schedule_state"])
        if stack.early_stopping:
            stack.early_stopping.load_state_dict(manifest["early_stopping"], replica)
    except (ValueError, TypeError, KeyError) as error:
        raise NnlabError(f"the checkpoint is not of this run: {error}") from error


def load_network(stack: Stack, replica: int, snapshot: Snapshot) -> None:
    """Put a snapshot's network alone into a replica.

    Raises:
        NnlabError: it is none of such a network.
    """
    try:
        stack.network.load_state_dict({name: snapshot.arrays[name] for name in stack.network.state_dict()}, replica)
    except (ValueError, KeyError) as error:
        raise NnlabError(f"the checkpoint is not of this network: {error}") from error
