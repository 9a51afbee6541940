"""Hostile case: a file that somebody made to do harm, and the commands that meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults.hostile.scene import Scene

Door = Callable[[Scene], list[str]]
"""Returns a command's arguments; a first one of ``-c`` is followed by Python."""


@dataclass(frozen=True)
class Hostile:
    """One of them.

    Attributes:
        name: what it is.
        make: puts it into the scene.
        doors: the commands that are tried.
        is_refused: False where a command may also do its work, as long as no harm comes of it.
    """

    name: str
    make: Callable[[Scene], object]
    doors: tuple[Door, ...]
    is_refused: bool = True

    def __repr__(self) -> str:
        return self.name


_SHORT = ["tracking=none", "training.epochs=1", "training.batch_size=2"]


def reproduce(scene: Scene) -> list[str]:
    """Train the run again."""
    return ["reproduce", str(scene.run)]


def resume(scene: Scene) -> list[str]:
    """Go on with the run."""
    return ["resume", str(scene.run)]


def evaluate(scene: Scene) -> list[str]:
    """Evaluate its last checkpoint."""
    return ["evaluate", str(scene.run)]


def load(scene: Scene) -> list[str]:
    """Load its network in Python."""
    return ["-c", f"import nnlab; nnlab.load({str(scene.run)!r})"]


def history(scene: Scene) -> list[str]:
    """Read its metrics in Python."""
    return ["-c", f"import nnlab; print(len(nnlab.history({str(scene.run)!r})))"]


def compare(scene: Scene) -> list[str]:
    """Compare it."""
    return ["compare", str(scene.run)]


def compare_all(_: Scene) -> list[str]:
    """Compare what there is."""
    return ["compare", "--json", "compared.json"]


def sync(_: Scene) -> list[str]:
    """Bring the outputs root into MLflow."""
    return ["sync"]


def csv(scene: Scene) -> list[str]:
    """Train on a table."""
    return ["train", "dataset=csv", f"dataset.path={scene.data}", "dataset.target=kind", *_SHORT]


def npz(scene: Scene) -> list[str]:
    """Train on arrays."""
    return ["train", "dataset=npz", f"dataset.path={scene.data}", *_SHORT]


def start_from(scene: Scene) -> list[str]:
    """Train from somebody's weights."""
    return ["train", f"initializer.from='{scene.checkpoint}'", *_SHORT]


def experiment(scene: Scene) -> list[str]:
    """Earn the figure of somebody's experiment."""
    return ["reproduce", str(scene.folder / "work" / "evil.yaml")]


def train(_: Scene) -> list[str]:
    """Train on wine."""
    return ["train", *_SHORT]
