"""Stopped run: a small run as SIGKILL has left it, copied as often as it is wanted, and what it should come to."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.warm import Warm

JOURNAL = "journal.jsonl"
SETTING = (
    "tracking=none",
    "dataset=iris",
    "architecture.hidden_sizes=[4,4,4]",
    "optimizer.momentum=0.9",
    "training.epochs=9",
    "training.log_every_updates=4",
    "checkpoint.every=2",
    "checkpoint.keep=all",
)
LAST = 6  # epoch of its last checkpoint; the journal has one more


def train(warm: Warm, name: str, *overrides: str) -> Path:
    """Train a run to its end.

    Args:
        warm: gives the command.
        name: of its directory.
        overrides: beside those that all have.

    Raises:
        RuntimeError: it failed.
    """
    directory = warm.outputs / "runs" / name
    ended = warm.run(["train", *SETTING, *overrides, f"hydra.run.dir={directory}"], seconds=120)
    if ended.code:
        raise RuntimeError(f"nnlab train ended with exit code {ended.code}: {ended.err}")
    return directory


def stop(finished: Path, target: Path) -> Path:
    """Copy a finished run as it would be if it had been killed in the epoch after its checkpoint of epoch ``LAST``."""
    shutil.copytree(finished, target, symlinks=True)
    lines = (finished / JOURNAL).read_bytes().splitlines(keepends=True)
    said = [json.loads(line) for line in lines]
    end = next(place for place, each in enumerate(said) if _is_of_epoch(each, LAST + 1))
    late = {f"checkpoints/epoch-{epoch:06d}" for epoch in range(LAST + 1)}  # one is written while the training goes on
    kept = [line for place, line in enumerate(lines) if place <= end or said[place].get("path") in late]
    (target / JOURNAL).write_bytes(b"".join(kept))
    for folder in (target / "checkpoints").iterdir():
        if int(folder.name[6:]) > LAST:
            shutil.rmtree(folder)
    shutil.rmtree(target / "plots")
    for name in ("history.csv", "updates.csv"):
        (target / name).unlink()
    return target


def differences(directory: Path, finished: Path) -> Iterator[str]:
    """Yield what is not as in the run that was never stopped: checkpoints, numbers, history, status; order of time."""
    found, expected = files(directory), files(finished)
    if found != expected:
        names = sorted({*found, *expected})
        yield f"{sum(found.get(name) != expected.get(name) for name in names)} of its checkpoints' files differ"
    lines = events(directory)
    if numbers(lines) != numbers(events(finished)):
        yield "its numbers differ, or some are there twice"
    if lines[-1].get("status") != "FINISHED":
        yield f"its last line is {lines[-1]}"
    times = [line["timestamp"] for line in lines]
    if times != sorted(times):
        yield "its lines are not in the order of time"
    if _history(directory) != _history(finished):
        yield "its history.csv differs"


def files(directory: Path, epoch: int | None = None) -> dict[str, bytes]:
    """Return every byte of a run's checkpoints, or of the one of an epoch; a link is told from a file."""
    names = "epoch-??????" if epoch is None else f"epoch-{epoch:06d}"
    paths = [path for path in directory.glob(f"checkpoints/{names}/*") if path.is_file()]
    return {f"{path.relative_to(directory)}{'@' * path.is_symlink()}": path.read_bytes() for path in paths}


def events(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal, all of which have to be whole."""
    return [json.loads(line) for line in (directory / JOURNAL).read_bytes().splitlines()]


def numbers(lines: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    """Return every recorded number but the clock's, in order; one that is there twice is twice in it."""
    return sorted(
        (line["step"], name, value)
        for line in lines
        if line["type"] == "metrics"
        for name, value in line["metrics"].items()
        if not name.startswith("time/")
    )


def _is_of_epoch(line: dict[str, Any], epoch: int) -> bool:
    return line.get("step") == epoch and "val/loss" in line["metrics"]


def _history(directory: Path) -> list[dict[str, str]]:
    with (directory / "history.csv").open(newline="") as file:
        return [{name: row[name] for name in row if not name.startswith("time/")} for row in csv.DictReader(file)]
