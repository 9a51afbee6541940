"""Runs for tests that nobody trained: journals and histories as a run leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnlab.history_csv import write_history
from nnlab.journal import Journal, Status


def fake_run(
    directory: Path,
    params: Mapping[str, Any],
    curve: Mapping[int, float],
    *,
    split: str = "val",
    status: Status = "FINISHED",
    loss: float = 0.5,
) -> Path:
    """Write a run whose accuracy on a split, and on test, went the way of ``curve`` (epoch -> accuracy)."""
    journal = Journal(directory)
    dataset = {"name": "fake", "hash": "h", "features": 4, "classes": 3, "samples": 9}
    journal.write(
        "run",
        run_id=f"id-{directory.name}",
        name=directory.name,
        experiment="fake",
        parent=None,
        tags={},
        dataset=dataset,
    )
    journal.write("params", params=dict(params))
    steps = {}
    for epoch, accuracy in curve.items():
        steps[epoch] = {f"{split}/loss": loss / (1 + epoch), f"{split}/accuracy": accuracy}
        journal.metrics(epoch, steps[epoch])
    write_history(directory / "history.csv", steps)
    if status == "FINISHED":
        epoch, accuracy = max(curve.items())
        for part in dict.fromkeys((split, "test")):
            journal.metrics(epoch, {f"final/{part}_loss": loss, f"final/{part}_accuracy": accuracy})
    journal.close(status)
    return directory
