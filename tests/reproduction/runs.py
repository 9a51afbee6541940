"""Past runs for tests: trained for real, without their plots."""

import functools
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab import paths, pictures, runner
from nnlab.history_csv import write_history
from nnlab.recorder import Recorder
from nnlab.reproduction.rerun import reproduce_run
from nnlab.reproduction.run_report import RunReport
from tests.jobs import job


def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes half a second a run."""

    def history(recorder: Recorder) -> None:
        recorder.artifact("history.csv", functools.partial(write_history, steps=recorder.record().steps))

    monkeypatch.setattr(pictures, "draw_curves", history)
    monkeypatch.setattr(pictures, "draw_predictions", lambda *_: None)


def train(*overrides: str, name: str = "old") -> Path:
    """Train a small wine run in the outputs root, 5 epochs if not told otherwise."""
    directory = paths.outputs_dir() / "runs" / name
    runner.run([job(*overrides)], [directory])
    return directory


def again(what: Path | str, **options: Any) -> RunReport:
    """Reproduce a run without a word."""
    return reproduce_run(str(what), report=lambda _: None, **options)


def copy(directory: Path, name: str = "copy") -> Path:
    """Return a copy of a run, beside it."""
    target = directory.with_name(name)
    shutil.copytree(directory, target)
    return target


def edit_journal(directory: Path, edit: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Change a journal line by line; None leaves one out."""
    path = directory / "journal.jsonl"
    lines = [edit(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines if line is not None))


def edit_array(directory: Path, epoch: int, name: str, edit: Callable[[NDArray[Any]], object]) -> None:
    """Change an array of a checkpoint in place, and its hash in the manifest, and that one's in the seal."""
    folder = directory / "checkpoints" / f"epoch-{epoch:06d}"
    array = np.load(folder / name)
    edit(array)
    np.save(folder / name, array)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    seal = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(seal)
    edit_journal(
        directory,
        lambda event: {**event, "sha256": seal} if str(event.get("path", "")).endswith(folder.name) else event,
    )
