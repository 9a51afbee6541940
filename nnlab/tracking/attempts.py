"""Attempts: a run that several workers of a cluster have begun, one after the other, is one run in the store.

Each attempt has an id of its own, which is a tag of the run: who has put it there last goes on with it. What earlier
ones have sent is kept, and not sent again, for the store would take the same step at another time for another one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric

from nnlab import attempt, journal, journal_lines
from nnlab.errors import NnlabError
from nnlab.tracking import creation
from nnlab.tracking.entities import Point

TAG = "nnlab.attempt"
_GRACE_SECONDS = 3.0  # for what an earlier attempt's tracker had just sent to arrive


class TakenOverError(NnlabError):
    """Another worker goes on with the run."""


def is_abandoned(directory: Path) -> bool:
    """Say whether a run, which nobody is at here, has no end, and may have one elsewhere."""
    if attempt.of(directory) is None:
        return False
    _, last = journal_lines.last(directory / journal.NAME)
    return last is None or last["type"] != "status"


class Attempts:
    """What this tracker has found out of the attempts before its own."""

    def __init__(self) -> None:
        self._foreign: dict[Path, dict[str, set[int]]] = {}  # metric -> steps that an earlier attempt has sent

    def claim(self, client: MlflowClient, run_id: str, directory: Path, own: str, claimed: str | None) -> bool:
        """Make sure that it is this attempt that goes on with a run.

        Args:
            client: of the store.
            run_id: MLflow's.
            directory: of the run.
            own: the attempt.
            claimed: the one that the run was last claimed for from here.

        Returns:
            whether it has been taken over from an earlier one just now.

        Raises:
            TakenOverError: another worker has taken it over since.
        """
        if is_new := claimed != own:
            _take_over(client, run_id, own)
            self._foreign.pop(directory, None)
        elif creation.get_run(client, run_id).data.tags.get(TAG) != own:
            raise TakenOverError("another worker has begun this run again, and goes on with it")
        return is_new

    def lacking(self, client: MlflowClient, run_id: str, directory: Path, points: Sequence[Point]) -> list[Point]:
        """Return the points whose steps no earlier attempt has sent."""
        if directory not in self._foreign:
            self._foreign[directory] = _foreign(client, run_id, directory)
        known = self._foreign[directory]
        return [point for point in points if point.step not in known.get(point.name, ())]


def _take_over(client: MlflowClient, run_id: str, own: str) -> None:
    before = creation.get_run(client, run_id).data.tags.get(TAG)
    if before == own:
        return
    client.set_tag(run_id, TAG, own)
    if before is not None:
        client.update_run(run_id, status="RUNNING")
        time.sleep(_GRACE_SECONDS)


def _foreign(client: MlflowClient, run_id: str, directory: Path) -> dict[str, set[int]]:
    """Return the steps of each metric that earlier attempts have sent: those that this one has not journalled so."""
    own = {
        (name, event["step"], event["timestamp"])
        for event, _ in journal.read_events(directory / journal.NAME)
        if event["type"] == "metrics"
        for name in event["metrics"]
    }
    found: dict[str, set[int]] = {}
    for name in creation.get_run(client, run_id).data.metrics:
        for each in client.get_metric_history(run_id, name):
            if (name, each.step, each.timestamp) not in own:
                found.setdefault(name, set()).add(each.step)
    return found


def missing(points: Sequence[Point], there: Sequence[Metric]) -> list[Point]:
    """Compare a metric as it should be with what the store has of it, whichever attempt has sent it.

    Returns:
        the points that it lacks.

    Raises:
        NnlabError: an earlier attempt had other numbers, which no attempt of a run on the same kind of processor has.
    """
    known = {metric.step: metric.value for metric in there}
    for point in points:
        was = known.get(point.step, point.value)
        if not point.name.startswith("time/") and was != point.value and was == was and point.value == point.value:
            raise NnlabError(
                f"an earlier attempt on another worker sent {point.name}={was!r} for step {point.step}, this one has "
                f"{point.value!r}: the store has parts of both; train it again, in another sweep, on one kind of CPU"
            )
    return [point for point in points if point.step not in known]
