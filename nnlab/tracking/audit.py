"""Audit: whether a server really has all of a run, and only once, after answers that got lost or were not MLflow's.

A proxy may say that all is well and pass nothing on; it may also hold a request so long that it is sent again, and
pass on both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from nnlab import journal
from nnlab.tracking import artifacts, creation, entities
from nnlab.tracking.entities import Point
from nnlab.tracking.failures import GarbageError
from nnlab.tracking.thinning import Thinning

_TIMES = 3
_A_CALL = 1000  # metrics, and
_PARAMS_A_CALL = 100


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
        missing = [
            what
            for what, count in (
                ("metrics", _send_points(client, run, record, thinning)),
                ("parameters", _send_params(client, run, record)),
                ("tags", _send_tags(client, run, tags)),
                ("the data set", _send_input(client, run, record)),
                ("artifacts", artifacts.send_missing(record, run, uri)),
                ("the status", _send_status(client, run, record)),
            )
            if count
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


def _send_points(client: MlflowClient, run: Run, record: journal.Record, thinning: Thinning) -> int:
    expected = Counter(point.name for point in _points(record, thinning))
    missing: list[Point] = []
    for name, count in expected.items():
        there = {(metric.step, metric.timestamp) for metric in client.get_metric_history(run.info.run_id, name)}
        if len(there) < count:
            of_name = (point for point in _points(record, thinning) if point.name == name)
            missing += [point for point in of_name if (point.step, point.timestamp) not in there]
    for start in range(0, len(missing), _A_CALL):
        client.log_batch(run.info.run_id, entities.metrics(missing[start : start + _A_CALL]))
    return len(missing)


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


def _send_params(client: MlflowClient, run: Run, record: journal.Record) -> int:
    params = [param for param in entities.params({"params": record.params}) if param.key not in run.data.params]
    for start in range(0, len(params), _PARAMS_A_CALL):
        client.log_batch(run.info.run_id, params=params[start : start + _PARAMS_A_CALL])
    return len(params)


def _send_tags(client: MlflowClient, run: Run, tags: Mapping[str, str]) -> int:
    missing = [RunTag(name, text) for name, text in tags.items() if run.data.tags.get(name) != text]
    return _send(client, run, missing)


def _send(client: MlflowClient, run: Run, tags: Sequence[RunTag]) -> int:
    if tags:
        client.log_batch(run.info.run_id, tags=tags)
    return len(tags)


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
