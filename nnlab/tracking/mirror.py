"""Mirror: brings a run's journal into MLflow, idempotently.

Everything is sent with the journal's own timestamps, and MLflow takes a metric that it has already, with the same
step, time and value, for the same row. So sending again changes nothing, and a tracker that died anywhere is replaced
by one that starts at the last cursor.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the tracker itself tries again
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.exceptions import MlflowException as MlflowException  # for those who call us
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from nnlab import journal, locks
from nnlab.errors import NnlabError
from nnlab.history_csv import write_history
from nnlab.journal import Event
from nnlab.tracking import cursor, entities, store
from nnlab.tracking.cursor import Cursor
from nnlab.tracking.thinning import Thinning

_MAX_METRICS, _MAX_PARAMS, _MAX_TAGS = 1000, 100, 100  # MLflow's limits a call
_RUN_ID = "nnlab.run_id"


class Mirror:
    """A connection to one store, for the runs of one outputs root.

    Args:
        outputs: the outputs root.
        uri: of the store.

    Raises:
        MlflowException: the store can't be opened.
    """

    def __init__(self, outputs: Path, uri: str) -> None:
        self.outputs, self.uri, self.key = outputs, uri, store.key(uri)
        self.client = _open(uri)

    def run(self, directory: Path, *, verify: bool = False) -> bool:
        """Mirror what a run's journal has by now.

        Args:
            directory: of the run.
            verify: ask the store whether it still has the run, instead of believing the cursor.

        Returns:
            whether the run has ended and is mirrored whole.

        Raises:
            MlflowException: the store refuses or can't be reached; nothing is lost, try again.
            NnlabError: the journal is damaged, or the experiment was deleted.
        """
        path = directory / journal.NAME
        is_alive = locks.is_locked(path)  # asked first: whoever dies while we read is seen the next time
        header = next((event for event, _ in journal.read_events(path)), None)
        if header is None or header["type"] != "run" or header["tracking"] is None:
            return not is_alive
        at = replace(cursor.read(directory, self.key), problem=None)
        if verify:
            at = self._verified(at)
        end = journal.whole_lines(path)
        if at.status != cursor.DELETED and at.offset >= end and (at.status == "RUNNING") == is_alive:
            return not is_alive
        if at.mlflow_run_id is None:
            at = self._find_or_create(directory, header)
            cursor.write(directory, self.key, at)
        assert at.mlflow_run_id is not None  # noqa: S101 - for mypy
        if at.status == cursor.DELETED:
            cursor.write(directory, self.key, replace(at, offset=end))
            return not is_alive
        if at.status != "RUNNING":  # a dead run that has been resumed, or one that has been annotated
            self.client.update_run(at.mlflow_run_id, status="RUNNING")
            at.status = "RUNNING"
        thinning = Thinning.of(header.get("epochs", 0), header.get("eval_every", 1), header["tracking"]["max_points"])
        self._send_new_lines(directory, at, thinning)
        record = journal.read(directory) if not is_alive else None
        if record is None or record.status == "RUNNING":
            return False
        self._finish(record, at, thinning)
        return True

    def _verified(self, at: Cursor) -> Cursor:
        """Return where to go on, given what has become of the run in the store: lost, deleted, restored."""
        if at.mlflow_run_id is None:
            return at
        try:
            stage = self.client.get_run(at.mlflow_run_id).info.lifecycle_stage
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return at if at.status == cursor.DELETED else Cursor()
        if stage == "deleted":
            return replace(at, status=cursor.DELETED)
        return Cursor(mlflow_run_id=at.mlflow_run_id) if at.status == cursor.DELETED else at

    def _find_or_create(self, directory: Path, header: Event) -> Cursor:
        experiment_id = self._experiment(header["experiment"])
        query = f"tags.`{_RUN_ID}` = '{header['run_id']}'"
        found = self.client.search_runs([experiment_id], query, ViewType.ALL, max_results=1)
        run = found[0] if found else self._create(directory, header, experiment_id)
        if run.info.lifecycle_stage == "deleted":
            return Cursor(mlflow_run_id=run.info.run_id, status=cursor.DELETED)
        if "dataset" in header:
            self.client.log_inputs(run.info.run_id, [entities.dataset_input(header["dataset"])])
        return Cursor(mlflow_run_id=run.info.run_id)

    def _create(self, directory: Path, header: Event, experiment_id: str) -> Run:
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
            if parent := self._parent(directory):
                tags["mlflow.parentRunId"] = parent
        return self.client.create_run(experiment_id, header["timestamp"], tags, header["name"])

    def _parent(self, directory: Path) -> str | None:
        """Return the mirrored run of the sweep that a run is part of: the sweep's directory is the one above."""
        return cursor.read(directory.parent, self.key).mlflow_run_id

    def _experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            # A server keeps its own place for artifacts; our sqlite file would put them under the current directory.
            folder = self.outputs / "artifacts" / quote(name, safe="")
            location = folder.as_uri() if store.is_own(self.uri, self.outputs) else None
            try:
                # Without the tag the UI takes runs for evaluations of language models and hides them in its menus.
                return str(
                    self.client.create_experiment(name, location, {"mlflow.experimentKind": "custom_model_development"})
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = self.client.get_experiment_by_name(name)  # another tracker was faster
        if experiment is None or experiment.lifecycle_stage != "active":
            raise NnlabError(
                f"the MLflow experiment {name!r} was deleted: restore it (mlflow experiments restore) or set another "
                "experiment_name, then run `nnlab sync`",
                exit_code=1,
            )
        return str(experiment.experiment_id)

    def _send_new_lines(self, directory: Path, at: Cursor, thinning: Thinning) -> None:
        metrics: list[Metric] = []
        params: list[Param] = []
        offset = at.offset
        for event, offset in journal.read_events(directory / journal.NAME, at.offset):
            if event["type"] == "params":
                params += entities.params(event)
            elif event["type"] == "metrics":
                metrics += entities.metrics(event, thinning)
            if len(metrics) > _MAX_METRICS - 100:
                self._send(directory, at, metrics, params, offset)
                metrics, params = [], []
        if offset > at.offset:
            self._send(directory, at, metrics, params, offset)

    def _send(self, directory: Path, at: Cursor, metrics: list[Metric], params: list[Param], offset: int) -> None:
        assert at.mlflow_run_id is not None  # noqa: S101 - set before anything is sent
        while metrics or params:
            self.client.log_batch(at.mlflow_run_id, metrics=metrics[:_MAX_METRICS], params=params[:_MAX_PARAMS])
            metrics, params = metrics[_MAX_METRICS:], params[_MAX_PARAMS:]
        at.offset = offset
        cursor.write(directory, self.key, at)

    def _finish(self, record: journal.Record, at: Cursor, thinning: Thinning) -> None:
        """Send what only the end of a run decides, and close it."""
        assert at.mlflow_run_id is not None  # noqa: S101 - set before anything is sent
        if thinning.trained is not None:
            self._send(record.directory, at, list(entities.last_and_best(record)), [], at.offset)
        history = record.directory / "history.csv"
        if record.steps and history.name not in record.artifacts:  # a killed trainer could not write it
            write_history(history, record.steps)
        for artifact in dict.fromkeys([*record.artifacts, history.name]):
            local = record.directory / artifact
            parent = Path(artifact).parent.as_posix()
            if local.is_dir():
                self.client.log_artifacts(at.mlflow_run_id, str(local), artifact)
            elif local.exists():
                self.client.log_artifact(at.mlflow_run_id, str(local), None if parent == "." else parent)
        self._remove_pruned(record, at.mlflow_run_id)
        tags = entities.tags(record)
        for start in range(0, len(tags), _MAX_TAGS):
            self.client.log_batch(at.mlflow_run_id, tags=tags[start : start + _MAX_TAGS])
        if record.run["parent"] and (sweep := self._parent(record.directory)):  # which perhaps came late
            self.client.set_tag(at.mlflow_run_id, "mlflow.parentRunId", sweep)
        if record.reason:
            self.client.set_tag(at.mlflow_run_id, "nnlab.reason", record.reason[:5000])
        elif "nnlab.reason" in self.client.get_run(at.mlflow_run_id).data.tags:
            self.client.delete_tag(at.mlflow_run_id, "nnlab.reason")  # it was killed once, and resumed
        self.client.set_terminated(at.mlflow_run_id, record.status, record.ended)
        at.status = record.status
        cursor.write(record.directory, self.key, at)

    def _remove_pruned(self, record: journal.Record, mlflow_run_id: str) -> None:
        """Remove what the store got when the run had died, and the resumed run has pruned."""
        kept = {artifact.path for artifact in self.client.list_artifacts(mlflow_run_id, "checkpoints")}
        if doomed := sorted(kept & record.pruned):
            repository = get_artifact_repository(self.client.get_run(mlflow_run_id).info.artifact_uri)
            for path in doomed:
                repository.delete_artifacts(path)  # type: ignore[no-untyped-call]


def _open(uri: str) -> MlflowClient:
    """Return a client whose store has its schema; creating one takes seconds and races between processes."""
    client = MlflowClient(tracking_uri=uri)
    file = store.sqlite_file(uri)
    if file is None:
        client.search_experiments(max_results=1)
        return client
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not locks.lock(fd, seconds=120):
            raise NnlabError(f"{file} has been locked by another process for two minutes", exit_code=1)
        client.search_experiments(max_results=1)
    finally:
        os.close(fd)
    return client
