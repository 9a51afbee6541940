"""Task: what a peer is asked to train; the networks of the benchmark; the data that every peer gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnlab.data import fit_standardization, mnist, wine

Repetition: TypeAlias = Callable[[int], float]
"""Train that many epochs from fresh parameters and return the seconds it took, the initialisation not counted."""

MNIST_IMAGES = 60_000
WINE_EPOCHS = 4_500


class UnavailableError(Exception):
    """A peer says in a few words why it can't do a task."""


@dataclass(frozen=True)
class Task:
    """One training job.

    Attributes:
        data: ``mnist`` (pixels / 255) or ``wine`` (all 178, standardised).
        hidden_sizes: of the fully connected network; None for LeNet.
        activation: ``relu`` or ``tanh``.
        batch_size: None for all samples at once.
        lr: of plain SGD.
        samples: the first so many of the data are trained on.
        epochs: in one repetition.
        warm_up: epochs trained before the first repetition, untimed.
        replicas: networks trained side by side in one process.
        cores: the process is kept on these; None for all of them.
    """

    data: str
    hidden_sizes: tuple[int, ...] | None
    activation: str = "relu"
    batch_size: int | None = 128
    lr: float = 0.1
    samples: int = MNIST_IMAGES
    epochs: int = 1
    warm_up: int = 1
    replicas: int = 1
    cores: tuple[int, ...] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths of a fully connected network from inputs to outputs."""
        if self.hidden_sizes is None:
            raise UnavailableError("fully connected networks only")
        inputs, outputs = {"mnist": (784, 10), "wine": (13, 3)}[self.data]
        return (inputs, *self.hidden_sizes, outputs)

    @property
    def title(self) -> str:
        """As the tables call it."""
        shape = "LeNet" if self.hidden_sizes is None else "-".join(map(str, self.sizes))
        return shape if self.batch_size is None else f"{shape}, batches of {self.batch_size}"

    def to_json(self) -> str:
        """Return it as one line for a worker's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Undo ``to_json``."""
        given: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
        }
        return cls(**fields)


NETWORKS = (
    Task("mnist", (128, 64)),
    Task("mnist", (512, 256)),
    Task("mnist", (50, 50), batch_size=10),
)
LENET = Task("mnist", None)
WINE = Task("wine", (5, 5), activation="tanh", batch_size=None, lr=0.07, samples=178, epochs=WINE_EPOCHS, warm_up=100)


def arrays(task: Task) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the inputs ``[samples, features]`` in float32 and the labels ``[samples]``."""
    x, y = {"mnist": _mnist, "wine": _wine}[task.data]()
    return np.ascontiguousarray(x[: task.samples], np.float32), y[: task.samples].copy()


def _mnist() -> tuple[NDArray[Any], NDArray[np.int64]]:
    dataset = mnist(split="60k-10k")
    return dataset.inputs(np.float32), dataset.y


def _wine() -> tuple[NDArray[Any], NDArray[np.int64]]:
    dataset = wine(split="whole")
    mean, std = fit_standardization(dataset.x)
    return (dataset.x - mean) / std, dataset.y
