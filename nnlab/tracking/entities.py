"""Entities: events of a journal as MLflow wants them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from nnlab import journal
from nnlab.journal import Event
from nnlab.tracking.thinning import Thinning

_MAX_TAG = 5000  # characters; the least of the limits that MLflow's stores have


def params(event: Event) -> list[Param]:
    """Return the parameters of a ``params`` line."""
    return [
        Param(name, value if isinstance(value, str) else json.dumps(value)) for name, value in event["params"].items()
    ]


def metrics(event: Event, thinning: Thinning) -> list[Metric]:
    """Return those metrics of a ``metrics`` line that are mirrored as the run goes along."""
    step, timestamp = event["step"], event["timestamp"]
    return [
        Metric(name, float(value), timestamp, step)
        for name, value in event["metrics"].items()
        if thinning.keeps(name, step)
    ]


def tags(record: journal.Record) -> list[RunTag]:
    """Return the tags of ``tags`` lines, cut to what a store takes."""
    return [RunTag(name, text[:_MAX_TAG]) for name, text in record.tags.items()]


def last_and_best(record: journal.Record) -> Iterator[Metric]:
    """Yield the last value of each metric and those of the best epoch, which the thinning may have left out."""
    last = {name: step for step, values in sorted(record.steps.items()) for name in values}
    best = _best_epoch(record)
    for event, _ in journal.read_events(record.directory / journal.NAME):
        if event["type"] != "metrics":
            continue
        for metric in metrics(event, Thinning()):
            if not metric.key.startswith("update/") and metric.step in (last[metric.key], best):
                yield metric


def dataset_input(dataset: dict[str, Any]) -> DatasetInput:
    """Return the data set as MLflow records inputs, with our digest over all bytes, cut to its 36 characters."""
    profile = {name: dataset[name] for name in ("samples", "features", "classes", "parts")}
    entity = Dataset(
        name=dataset["name"],
        digest=dataset["hash"][:32],
        source_type="nnlab",
        source=json.dumps({"source": dataset["source"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def _best_epoch(record: journal.Record) -> int | None:
    """Return the epoch that ``best/epoch`` names, or will when the run ends: the first of the lowest val/loss."""
    losses = {step: values.get("val/loss", math.inf) for step, values in record.steps.items()}
    finite = [step for step, loss in losses.items() if math.isfinite(loss)]
    return min(finite, key=losses.__getitem__, default=None)
