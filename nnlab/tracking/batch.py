"""Batch: what is to be sent to a run next, in calls that MLflow takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Param, RunTag

from nnlab.journal import Event
from nnlab.tracking import entities, sqlite_metrics, store
from nnlab.tracking.entities import Point
from nnlab.tracking.thinning import Thinning

_MAX_ENTITIES, _MAX_PARAMS, _MAX_TAGS = 1000, 100, 100  # MLflow's limits a call


@dataclass
class Batch:
    """Metrics, parameters and tags of one run."""

    points: list[Point] = field(default_factory=list)
    params: list[Param] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, event: Event, thinning: Thinning) -> None:
        """Take one more line of the journal into account."""
        if event["type"] == "params":
            self.params += entities.params(event)
        elif event["type"] == "metrics":
            self.points += entities.points(event, thinning)

    def send(self, client: MlflowClient, run_id: str, uri: str) -> None:
        """Send all of it.

        Args:
            client: of the store.
            run_id: MLflow's.
            uri: of the store.
        """
        file = store.sqlite_file(uri)
        is_in = not self.points or (file is not None and sqlite_metrics.insert(file, run_id, self.points))
        metrics = [] if is_in else entities.metrics(self.points)
        params, tags = self.params, [RunTag(name, text) for name, text in self.tags.items()]
        while metrics or params or tags:
            room = _MAX_ENTITIES - len(params[:_MAX_PARAMS]) - len(tags[:_MAX_TAGS])
            client.log_batch(run_id, metrics[:room], params[:_MAX_PARAMS], tags[:_MAX_TAGS])
            metrics, params, tags = metrics[room:], params[_MAX_PARAMS:], tags[_MAX_TAGS:]
