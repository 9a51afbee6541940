"""History: a run's metrics as CSV, derived from its journal."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


def write_history(path: Path, steps: Mapping[int, Mapping[str, float]]) -> None:
    """Write every epoch's metrics, a row an epoch; what an epoch doesn't have is left empty.

    Args:
        path: of the file.
        steps: epoch -> {name: value}; ``final/*`` and ``best/*`` are no epoch's and left out.
    """
    names = dict.fromkeys(name for values in steps.values() for name in values)
    names = {name: None for name in names if not name.startswith(("final/", "best/"))}
    if path.is_symlink():  # what it leads to is not ours
        path.unlink()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", *names])
        writer.writerows([epoch, *(values.get(name, "") for name in names)] for epoch, values in sorted(steps.items()))


def write_updates(path: Path, updates: Mapping[int, Mapping[str, float]]) -> None:
    """Write the recorded updates' ``step,loss,accuracy``, a row an update.

    Args:
        path: of the file.
        updates: step -> {``update/loss``: value, ``update/accuracy``: value}.
    """
    if path.is_symlink():  # what it leads to is not ours
        path.unlink()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "loss", "accuracy"])
        writer.writerows([step, values["update/loss"], values["update/accuracy"]] for step, values in updates.items())
