"""Audit: whether a server really has all of a run, and only once, after answers that got lost or were not MLflow's.

A proxy may say that all is well and pass nothing on; it may also hold a request so long that it is sent again, and
pass on both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from mlflow import MlflowClient
from mlflow.entities import Run

from nnlab import attempt, journal
from nnlab.tracking import artifacts, attempts, creation, entities
from nnlab.tracking.batch import Batch
from nnlab.tracking.description import unsent
from nnlab.tracking.entities import Point
from nnlab.tracking.failures import GarbageError
from nnlab.tracking.thinning import Thinning

_TIMES = 3


def audit(
    client: MlflowClient,
    run_id: str,
    record: journal.Record,
    tags: Mapping[str, str],
    thinning: Thinning,
    uri: str,
) -> None:
    """Compare a run that has ended with what the store has of it, send what is missing, and delete empty doubles.

    Args:
        client: of the store.
        run_id: MLflow's.
        record: of the run.
        tags: that it should have beside those it began with.
        thinning: of the run.
        uri: of the store.

    Raises:
        GarbageError: something is missing however often it is sent.
    """
    for _ in range(_TIMES):
        run = creation.get_run(client, run_id)
        _delete_doubles(client, run, record)
        lacking = _lacking(client, run, record, tags, thinning)
        lacking.send(client, run_id, uri)
        missing = [
            what
            for what, is_missing in (
                ("metrics", lacking.points),
                ("parameters", lacking.params),
                ("tags", lacking.tags),
                ("the data set", _send_input(client, run, record)),
                ("artifacts", artifacts.send_missing(record, run, uri)),
                ("the status", _send_status(client, run, record)),
            )
            if is_missing
        ]
        if not missing:
            return
    raise GarbageError(f"the server says it has {', '.join(missing)}, but keeps losing some")


def _delete_doubles(client: MlflowClient, run: Run, record: journal.Record) -> None:
    """Delete what came of creating the run once more, to which nothing was sent as nobody got its id."""
    for other in creation.runs_of(client, run.info.experiment_id, record.run["run_id"]):
        is_empty = not (other.data.metrics or other.data.params)
        if other.info.run_id != run.info.run_id and other.info.lifecycle_stage == "active" and is_empty:
            client.delete_run(other.info.run_id)


def _lacking(
    client: MlflowClient, run: Run, record: journal.Record, tags: Mapping[str, str], thinning: Thinning
) -> Batch:
    params = [param for param in entities.params({"params": record.params}) if param.key not in run.data.params]
    return Batch(_lacking_points(client, run, record, thinning), params, unsent(tags, run.data.tags))


def _lacking_points(client: MlflowClient, run: Run, record: journal.Record, thinning: Thinning) -> list[Point]:
    expected = Counter(point.name for point in _points(record, thinning))
    missing: list[Point] = []
    for name, count in expected.items():
        history = client.get_metric_history(run.info.run_id, name)
        if attempt.of(record.directory) is not None:
            missing += attempts.missing([point for point in _points(record, thinning) if point.name == name], history)
            continue
        there = {(metric.step, metric.timestamp) for metric in history}
        if len(there) < count:
            of_name = (point for point in _points(record, thinning) if point.name == name)
            missing += [point for point in of_name if (point.step, point.timestamp) not in there]
    return missing


def _points(record: journal.Record, thinning: Thinning) -> Iterator[Point]:
    """Yield all that should be there, reading the journal again: of a long run it doesn't fit into memory."""
    lines: dict[int, list[int]] = {}
    start = 0
    for event, offset in journal.read_events(record.directory / journal.NAME):
        if event["type"] == "metrics":
            lines.setdefault(event["step"], []).append(start)
            yield from entities.points(event, thinning)
        start = offset
    yield from entities.last_and_best(record, lines, thinning)


def _send_input(client: MlflowClient, run: Run, record: journal.Record) -> bool:
    is_missing = "dataset" in record.run and not (run.inputs and run.inputs.dataset_inputs)
    if is_missing:
        client.log_inputs(run.info.run_id, [entities.dataset_input(record.run["dataset"])])
    return is_missing


def _send_status(client: MlflowClient, run: Run, record: journal.Record) -> bool:
    is_other = (run.info.status, run.info.end_time) != (record.status, record.ended)
    if is_other:
        client.set_terminated(run.info.run_id, record.status, record.ended)
    return is_other
