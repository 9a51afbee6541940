"""Undisturbed: a setting without any fault, to compare with, and to know how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.killed.killable import RUNS, SWEEPS
from benchmarks.left import Left
from benchmarks.sweeps import commands


@dataclass(frozen=True)
class Undisturbed:
    """A setting that nothing has disturbed.

    Attributes:
        command: of nnlab.
        left: what it has left: ``run``, or ``sweep`` and each ``job``.
        starting_seconds: until the first record was there.
        working_seconds: from there to the end of its process, or of its records where that waits for MLflow.
    """

    command: list[str]
    left: Mapping[str, Left]
    starting_seconds: float
    working_seconds: float


def train(setting: str, *, is_tracked: bool) -> Undisturbed:
    """Train a setting of ``killable``.

    Raises:
        RuntimeError: it fails.
    """
    command = ["train", *({**RUNS, **SWEEPS}[setting]), *([] if is_tracked else ["tracking=none"])]
    with roots.root(is_tracked=is_tracked) as outputs:
        done = commands.run(outputs, *command)
        directories = left.records(left.begun(outputs)[0])
        found = {name: left.read(directory) for name, directory in directories.items()}
        moments = [
            line["timestamp"] / 1000
            for name, directory in directories.items()
            if name != "sweep" or is_tracked
            for line in left.lines(directory)
        ]
        if is_tracked:
            commands.settle(outputs)
            found = {name: replace(each, rows=left.rows(outputs, each.run_id)) for name, each in found.items()}
        ended = max(moments) if is_tracked else done.started + done.seconds
        return Undisturbed(command, found, min(moments) - done.started, ended - min(moments))
