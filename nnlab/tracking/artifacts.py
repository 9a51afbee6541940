"""Artifacts: a run's files, copied to where its store keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nnlab import journal
from nnlab.history_csv import write_history, write_updates


def send(record: journal.Record, run: Run, uri: str) -> None:
    """Copy a run's artifacts, and remove what the store got when the run had died and the resumed one has pruned.

    Args:
        record: of the run that has ended.
        run: as the store has it. From it comes the place, which a client would ask for again with every file.
        uri: of the store.
    """
    history, updates = record.directory / "history.csv", record.directory / "updates.csv"
    is_killed = record.status == "KILLED"  # the trainer may have written them before it was resumed, or not at all
    if record.steps and (is_killed or history.name not in record.artifacts):
        write_history(history, record.steps)
    if is_killed and updates.name in record.artifacts:
        write_updates(updates, record.updates)
    repository: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
    for artifact in dict.fromkeys([*record.artifacts, history.name]):
        local = record.directory / artifact
        parent = Path(artifact).parent.as_posix()
        if local.is_dir():
            repository.log_artifacts(str(local), artifact)
        elif local.exists():
            repository.log_artifact(str(local), None if parent == "." else parent)
    if record.pruned:
        kept = {artifact.path for artifact in repository.list_artifacts("checkpoints")}
        for path in sorted(kept & record.pruned):
            repository.delete_artifacts(path)
