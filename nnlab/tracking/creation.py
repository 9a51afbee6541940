"""Creation: the store, the experiment and the run that a journal goes to, each found or else made."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from nnlab import locks
from nnlab.errors import NnlabError
from nnlab.journal import Event
from nnlab.tracking import entities, store
from nnlab.tracking.failures import GarbageError

_RUN_ID = "nnlab.run_id"


def open_store(uri: str) -> MlflowClient:
    """Return a client whose store has its schema; creating one takes seconds and races between processes.

    A sqlite file is made under another name and appears whole: MLflow can't go on with one whose schema a killed
    process has left half made.
    """
    file = store.sqlite_file(uri)
    if file is None:
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        return client
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not locks.lock(fd, seconds=120):
            raise NnlabError(f"{file} has been locked by another process for two minutes", exit_code=1)
        if not file.exists():
            _make(file)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    finally:
        os.close(fd)
    return client


def _make(file: Path) -> None:
    """Make an empty sqlite store; the caller has its lock."""
    new = file.with_name(f".{file.name}.new")
    for left_behind in (new, new.with_name(f"{new.name}-journal")):
        left_behind.unlink(missing_ok=True)
    MlflowClient(tracking_uri=store.sqlite_uri(new)).search_experiments(max_results=1)
    if not file.exists():  # made by somebody who doesn't know our lock
        new.rename(file)


def find_or_create(client: MlflowClient, outputs: Path, uri: str, header: Event, sweep: str | None) -> Run:
    """Return a journal's run, which may have been deleted in the store; a new one has the data set as its input.

    Args:
        client: of the store.
        outputs: the outputs root.
        uri: of the store.
        header: the journal's ``run`` line.
        sweep: MLflow's id of the parent run.
    """
    experiment_id = _experiment(client, outputs, uri, header["experiment"])
    found = runs_of(client, experiment_id, header["run_id"])
    run = found[0] if found else _create(client, header, experiment_id, sweep)
    if "dataset" in header and run.info.lifecycle_stage != "deleted":
        client.log_inputs(run.info.run_id, [entities.dataset_input(header["dataset"])])
    return run


def known(client: MlflowClient, experiment: str, run_id: str) -> Run | None:
    """Return the run that an experiment has under an id of ours, if there are such an experiment and run."""
    there = client.get_experiment_by_name(experiment)
    found = runs_of(client, str(there.experiment_id), run_id) if there is not None else []
    return found[0] if found else None


def runs_of(client: MlflowClient, experiment_id: str, run_id: str) -> list[Run]:
    """Return the runs that are of a journal, the one to go on with first, then doubles, then deleted ones."""
    found = client.search_runs([experiment_id], f"tags.`{_RUN_ID}` = '{run_id}'", ViewType.ALL, max_results=100)
    ours = [run for run in found if run.data.tags.get(_RUN_ID) == run_id]
    return sorted(ours, key=lambda run: (run.info.lifecycle_stage == "deleted", not run.data.params, run.info.run_id))


def get_run(client: MlflowClient, mlflow_run_id: str) -> Run:
    """Return a run of ours.

    Raises:
        GarbageError: the answer is another.
    """
    run = client.get_run(mlflow_run_id)
    if run.info.run_id != mlflow_run_id or _RUN_ID not in run.data.tags:
        raise GarbageError("the server's answer is not the run that was asked for")
    return run


def _create(client: MlflowClient, header: Event, experiment_id: str, sweep: str | None) -> Run:
    tags = {
        _RUN_ID: header["run_id"],
        "mlflow.user": header["user"],
        "mlflow.source.name": "nnlab train",
        "mlflow.source.type": "LOCAL",
        **header["tags"],
    }
    if "dataset" in header:
        tags["nnlab.data_hash"] = header["dataset"]["hash"]
    if header["parent"]:
        tags["nnlab.sweep"] = header["parent"]
        if sweep:
            tags["mlflow.parentRunId"] = sweep
    run = client.create_run(experiment_id, header["timestamp"], tags, header["name"])
    if not run.info.run_id or run.data.tags.get(_RUN_ID) != header["run_id"]:
        raise GarbageError("the server's answer is not the run that was to be created")
    return run


def _experiment(client: MlflowClient, outputs: Path, uri: str, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # A server keeps its own place for artifacts; our sqlite file would put them under the current directory.
        folder = outputs / "artifacts" / quote(name, safe="")
        location = folder.as_uri() if store.is_own(uri, outputs) else None
        try:
            # Without the tag the UI takes runs for evaluations of language models and hides them in its menus.
            made = str(client.create_experiment(name, location, {"mlflow.experimentKind": "custom_model_development"}))
            if not made:
                raise GarbageError("the server's answer is not the experiment that was to be created")
            return made
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = client.get_experiment_by_name(name)  # another tracker was faster
    if experiment is not None and (experiment.name != name or not experiment.experiment_id):
        raise GarbageError("the server's answer is not the experiment that was asked for")
    if experiment is None or experiment.lifecycle_stage != "active":
        raise NnlabError(
            f"the MLflow experiment {name!r} was deleted: restore it (mlflow experiments restore) or set another "
            "experiment_name, then run `nnlab sync`",
            exit_code=1,
        )
    return str(experiment.experiment_id)
