"""Entities: events of a journal as MLflow wants them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

from nnlab import journal
from nnlab.journal import Event
from nnlab.tracking.limits import MAX_TAG
from nnlab.tracking.thinning import Thinning, kind


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    timestamp: int
    step: int


def params(event: Event) -> list[Param]:
    """Return the parameters of a ``params`` line."""
    return [
        Param(name, value if isinstance(value, str) else json.dumps(value)) for name, value in event["params"].items()
    ]


def points(event: Event, thinning: Thinning) -> list[Point]:
    """Return those metrics of a ``metrics`` line that are mirrored as the run goes along."""
    step, timestamp = event["step"], event["timestamp"]
    kinds = thinning.kinds(step)
    return [
        Point(name, float(value), timestamp, step) for name, value in event["metrics"].items() if kind(name) in kinds
    ]


def metrics(points: Iterable[Point]) -> list[Metric]:
    """Return points as MLflow's own way takes them."""
    return [Metric(*point) for point in points]


def tags(record: journal.Record) -> dict[str, str]:
    """Return the tags that a run has got by its end, cut to what a store takes."""
    reason = {"nnlab.reason": record.reason} if record.reason else {}
    return {name: text[:MAX_TAG] for name, text in (record.tags | reason).items()}


def last_and_best(record: journal.Record, lines: Mapping[int, Sequence[int]], thinning: Thinning) -> Iterator[Point]:
    """Yield the last value of each metric and those of the best epoch, where the thinning has left them out.

    Args:
        record: of the run that has ended.
        lines: step -> where in the journal its ``metrics`` lines begin.
        thinning: of the run.
    """
    last = {name: step for step, values in sorted(record.steps.items()) for name in values}
    best = _best_epoch(record)
    for step in sorted({*last.values()} | ({best} if best is not None else set())):
        for start in lines[step]:
            event, _ = next(journal.read_events(record.directory / journal.NAME, start))
            for point in points(event, Thinning()):
                if not thinning.keeps(point.name, step) and step in (last.get(point.name), best):
                    yield point


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
