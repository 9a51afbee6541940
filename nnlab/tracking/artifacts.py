"""Artifacts: a run's files, copied to where its store keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nnlab import journal
from nnlab.history_csv import write_history, write_updates
from nnlab.tracking import store
from nnlab.tracking.patience import Patient


def send(record: journal.Record, run: Run, uri: str, sent: set[str]) -> None:
    """Copy a run's artifacts, and remove what the store got when the run had died and the resumed one has pruned.

    Args:
        record: of the run that has ended.
        run: as the store has it. From it comes the place, which a client would ask for again with every file.
        uri: of the store.
        sent: what has been copied already; grows, so that whoever was interrupted goes on there.
    """
    history, updates = record.directory / "history.csv", record.directory / "updates.csv"
    is_killed = record.status == "KILLED"  # the trainer may have written them before it was resumed, or not at all
    if record.steps and (is_killed or history.name not in record.artifacts):
        write_history(history, record.steps)
    if is_killed and updates.name in record.artifacts:
        write_updates(updates, record.updates)
    repository = _repository(run, uri)
    for name in _files(record):
        if name not in sent:
            _copy(repository, record.directory, name)
            sent.add(name)
    if record.pruned:
        kept = {artifact.path for artifact in repository.list_artifacts("checkpoints")}
        for path in sorted(kept & record.pruned):
            repository.delete_artifacts(path)


def send_missing(record: journal.Record, run: Run, uri: str) -> int:
    """Compare what the store keeps of a run, by name and size, copy what it lacks, and return how many those were."""
    repository = _repository(run, uri)
    there: dict[str, dict[str, int | None]] = {}
    missing = 0
    for name in _files(record):
        folder = str(PurePosixPath(name).parent)
        if folder not in there:
            listed = repository.list_artifacts(None if folder == "." else folder)
            there[folder] = {entry.path: entry.file_size for entry in listed}
        size = there[folder].get(name, -1)
        if size is not None and size != (record.directory / name).stat().st_size:
            _copy(repository, record.directory, name)
            missing += 1
    return missing


def _repository(run: Run, uri: str) -> Any:
    repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
    return Patient(repository) if store.is_server(uri) else repository


def _files(record: journal.Record) -> Iterator[str]:
    """Yield the path of each file, relative to the run's directory."""
    root = record.directory.resolve()
    for artifact in dict.fromkeys([*record.artifacts, "history.csv"]):
        place = record.directory / artifact
        if not place.is_dir():
            files = [place]
        else:
            files = sorted(place.rglob("*")) if place.resolve().is_relative_to(root) else []
        # Not what a `..` or a link leads out to: a run that somebody else made shall not take our files to a store.
        there = (file for file in files if file.is_file() and file.resolve().is_relative_to(root))
        yield from (file.relative_to(record.directory).as_posix() for file in there)


def _copy(repository: Any, directory: Path, name: str) -> None:
    parent = str(PurePosixPath(name).parent)
    repository.log_artifact(str(directory / name), None if parent == "." else parent)
