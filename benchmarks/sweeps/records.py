"""Records: what the journals of a sweep say of its course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab import journal


@dataclass(frozen=True)
class Course:
    """When what happened to a run, seconds since 1970.

    Attributes:
        began: its record was opened.
        first: its first epoch, number 0, was recorded.
        last: its last one was.
        closed: its record was closed, behind checkpoints and pictures.
        status: FINISHED or another.
        train_seconds: of each epoch, as journalled: of the whole stack that the run was trained in.
        eval_seconds: likewise.
    """

    began: float
    first: float
    last: float
    closed: float
    status: str
    train_seconds: tuple[float, ...]
    eval_seconds: tuple[float, ...]


def sweep_of(outputs: Path) -> Path:
    """Return the directory of an outputs root's only sweep."""
    (directory,) = {path.parent for path in outputs.glob("sweeps/*/sweep.json")}
    return directory


def jobs(directory: Path) -> dict[int, Path]:
    """Return the run directories of a sweep's jobs that have a record, by number."""
    found = {int(path.parent.name): path.parent for path in directory.glob(f"*/{journal.NAME}")}
    return dict(sorted(found.items()))


def course(directory: Path) -> Course:
    """Read a run's journal, or a sweep's, for its course; what didn't happen is at 0."""
    epochs: dict[int, float] = {}
    train, evaluation = list[float](), list[float]()
    began, closed, status = 0.0, 0.0, "RUNNING"
    for event, _ in journal.read_events(directory / journal.NAME):
        moment = event["timestamp"] / 1000
        match event["type"]:
            case "run":
                began = moment
            case "metrics":
                epochs.setdefault(event["step"], moment)
                values = event["metrics"]
                train += [values["time/train_seconds"]] if "time/train_seconds" in values else []
                evaluation += [values["time/eval_seconds"]] if "time/eval_seconds" in values else []
            case "status":
                closed, status = moment, event["status"]
    first, last = (epochs[min(epochs)], epochs[max(epochs)]) if epochs else (0.0, 0.0)
    return Course(began, first, last, closed, status, tuple(train), tuple(evaluation))


def stack_seconds(courses: Sequence[Course]) -> float:
    """Return the seconds that training and evaluation took, each stack counted once.

    The runs of a stack journal the same seconds, to the last digit, which two stacks never do.
    """
    stacks = {each.train_seconds: each.eval_seconds for each in courses}
    return sum(sum(train) + sum(evaluation) for train, evaluation in stacks.items())
