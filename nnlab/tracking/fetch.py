"""Fetch: what a store kept of a run, for those who don't have its directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow import MlflowClient
from mlflow.entities import FileInfo, Run, ViewType

from nnlab import checkpoint
from nnlab.errors import NnlabError
from nnlab.tracking import store
from nnlab.tracking.mirror import Mirror, MlflowException

_TEXT_BYTES = 1 << 20
_LARGE_BYTES = 1 << 30
_TEXTS = ("config.yaml", "environment.json", "manifest.json", "manifest.sha256")
_EPOCH = re.compile(r"checkpoints/(epoch-\d{6,9})")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")


@dataclass(frozen=True)
class Fetched:
    """A run as a store has it; its files are in a directory laid out like the run's own.

    Attributes:
        mlflow_run_id: of the store.
        name: of the run.
        status: FINISHED, FAILED or KILLED.
        params: as text.
        tags: all of them.
        metrics: the last value of each.
        updates: update -> the metrics recorded of it.
    """

    mlflow_run_id: str
    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    updates: dict[int, dict[str, float]]


def fetch(outputs: Path, uri: str, run_id: str, directory: Path) -> Fetched:
    """Download what it takes to do a run again and compare it.

    These are config.yaml, environment.json, history.csv, the checkpoint that the run ended with, the last one, and of
    the first one the manifest; nothing that is larger than it should be, and nothing else.

    Args:
        outputs: the outputs root.
        uri: of the store.
        run_id: MLflow's or nnlab's.
        directory: where to.

    Raises:
        NnlabError: the store can't be reached, has no such run, or too little of it.
    """
    file = store.sqlite_file(uri)
    if file is not None and not file.exists():
        raise NnlabError(f"{run_id}: there is no such run, and no store at {file} yet")
    with _one_line(uri):
        client = Mirror(outputs, uri).client
        run = _find(client, run_id)
        _check(client, run)
        _download(client, run.info.run_id, directory)
        updates: dict[int, dict[str, float]] = {}
        for name in (name for name in run.data.metrics if name.startswith("update/")):
            for metric in client.get_metric_history(run.info.run_id, name):
                updates.setdefault(metric.step, {})[name] = metric.value
        return Fetched(
            run.info.run_id,
            run.info.run_name or run.info.run_id,
            run.info.status,
            dict(run.data.params),
            dict(run.data.tags),
            dict(run.data.metrics),
            updates,
        )


def download_initial(outputs: Path, uri: str, mlflow_run_id: str, directory: Path) -> None:
    """Download the whole checkpoint of epoch 0 as well, for a run whose initial weights were given.

    Raises:
        NnlabError: the store can't be reached.
    """
    with _one_line(uri):
        client = Mirror(outputs, uri).client
        folder = f"checkpoints/{checkpoint.name(0)}"
        _save(client, mlflow_run_id, _listed(client, mlflow_run_id, folder), directory)


def _find(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    token: str | None = None
    while True:
        experiments = client.search_experiments(ViewType.ALL, max_results=100, page_token=token)
        ids = [str(experiment.experiment_id) for experiment in experiments]
        if found := client.search_runs(ids, f"tags.`nnlab.run_id` = '{run_id}'", ViewType.ALL, max_results=1):
            return found[0]
        token = experiments.token
        if not token:
            raise NnlabError(f"{run_id}: there is no such run, neither in the outputs root nor in the store")


def _check(client: MlflowClient, run: Run) -> None:
    """Refuse what can't be reproduced before anything is downloaded."""
    run_id = run.info.run_id
    if run.info.lifecycle_stage == "deleted":
        raise NnlabError(f"{run_id} was deleted in the store; `mlflow runs restore --run-id {run_id}` brings it back")
    if "nnlab.kind" in run.data.tags:  # only sweeps have one
        query = f"tags.`mlflow.parentRunId` = '{run_id}'"
        children = client.search_runs([run.info.experiment_id], query, max_results=3, order_by=["attribute.start_time"])
        some = "".join(f" {child.info.run_id}" for child in children)
        raise NnlabError(f"{run_id} is a sweep: reproduce its runs one by one, such as{some or ' ... but it has none'}")
    if run.info.status not in ("FINISHED", "FAILED", "KILLED"):
        raise NnlabError(f"{run_id} is {run.info.status} in the store: it has not ended, or was not mirrored whole")


def _download(client: MlflowClient, run_id: str, directory: Path) -> None:
    root = {entry.path: entry for entry in client.list_artifacts(run_id)}
    for name in ("config.yaml", "history.csv"):
        if name not in root:
            raise NnlabError(f"{run_id} has no {name} in the store: it is no run of nnlab, or was killed as it began")
    wanted = [root[name] for name in ("config.yaml", "environment.json", "history.csv") if name in root]
    _save(client, run_id, wanted, directory)
    folders = [entry.path for entry in client.list_artifacts(run_id, "checkpoints") if _EPOCH.fullmatch(entry.path)]
    folders.sort(key=_epoch)
    if not folders:
        return
    _save(client, run_id, _listed(client, run_id, folders[-1]), directory)
    restored = checkpoint.read_manifest(directory / folders[-1]).get("restored_epoch")
    if isinstance(restored, int) and f"checkpoints/{checkpoint.name(restored)}" in folders[:-1]:
        _save(client, run_id, _listed(client, run_id, f"checkpoints/{checkpoint.name(restored)}"), directory)
    first = f"checkpoints/{checkpoint.name(0)}"
    if first in folders[:-1] and not (directory / first).exists():
        manifest = [entry for entry in _listed(client, run_id, first) if entry.path.endswith(_TEXTS)]
        _save(client, run_id, manifest, directory)


def _epoch(folder: str) -> int:
    return int(folder.rpartition("-")[2])


def _listed(client: MlflowClient, run_id: str, folder: str) -> list[FileInfo]:
    """Return the files of a checkpoint."""
    files: list[FileInfo] = client.list_artifacts(run_id, folder)
    for entry in files:
        parent, _, name = entry.path.rpartition("/")
        if entry.is_dir or parent != folder or not _FILE.fullmatch(name):
            raise NnlabError(f"{run_id}: {entry.path!r} in the store is not a checkpoint's file")
    return files


def _save(client: MlflowClient, run_id: str, entries: list[FileInfo], directory: Path) -> None:
    """Download files, each to its path, unless one or all together are larger than they should be."""
    for entry in entries:
        limit = _TEXT_BYTES if entry.path.rpartition("/")[2] in _TEXTS else _LARGE_BYTES
        if entry.is_dir or (entry.file_size or 0) > limit:
            raise NnlabError(f"{run_id}: {entry.path} in the store is a folder, or larger than {limit >> 20} MB")
    if sum(entry.file_size or 0 for entry in entries) > _LARGE_BYTES:
        raise NnlabError(f"{run_id}: its files in the store are larger than {_LARGE_BYTES >> 20} MB together")
    incoming = directory / "incoming"
    incoming.mkdir(exist_ok=True)
    for entry in entries:
        # Some stores' clients make the folders of its path, others don't.
        file = Path(client.download_artifacts(run_id, entry.path, str(incoming)))
        place = directory / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)


@contextmanager
def _one_line(uri: str) -> Iterator[None]:
    """Turn whatever goes wrong with a store or the place of its artifacts into one line."""
    try:
        yield
    except NnlabError:
        raise
    except Exception as error:
        text: Any = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NnlabError(f"the store {store.shown(uri)} can't be read: {store.shown(text)}", exit_code=1) from error
