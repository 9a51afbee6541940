"""Stored: what is in the sqlite store of an outputs root, read without MLflow."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

Row = tuple[str, int, float | None]
"""Key, step and value of a metric; None for NaN."""

_COUNTS = """
    SELECT run_uuid, sum(count), sum(count - 1)
    FROM (SELECT run_uuid, count(*) AS count FROM metrics GROUP BY run_uuid, key, step) GROUP BY run_uuid
"""


@dataclass(frozen=True)
class Stored:
    """A run in MLflow.

    Attributes:
        run_id: MLflow's.
        status: FINISHED or another.
        tags: name -> text.
        rows: how many values of metrics there are.
        doubled: how many of them are of a metric and a step that has one already.
        artifacts: paths of its files.
    """

    run_id: str
    status: str
    tags: dict[str, str]
    rows: int
    doubled: int
    artifacts: frozenset[str]

    @property
    def name(self) -> str:
        """For people."""
        return self.tags.get("mlflow.runName", self.run_id)

    @property
    def parent(self) -> str | None:
        """Run id of the sweep that it is part of."""
        return self.tags.get("mlflow.parentRunId")


def runs(outputs: Path) -> list[Stored]:
    """Read all runs, but for deleted ones."""
    with _opened(outputs) as store:
        tags: dict[str, dict[str, str]] = {}
        for run_id, key, text in store.execute("SELECT run_uuid, key, value FROM tags"):
            tags.setdefault(run_id, {})[key] = text
        counts = {run_id: (rows, doubled) for run_id, rows, doubled in store.execute(_COUNTS)}
        found = store.execute("SELECT run_uuid, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'")
        return [
            Stored(run_id, status, tags.get(run_id, {}), *counts.get(run_id, (0, 0)), _files(uri))
            for run_id, status, uri in found
        ]


def metrics(outputs: Path) -> dict[str, Counter[Row]]:
    """Return the metrics of each run id, and how often each is there."""
    found: dict[str, Counter[Row]] = {}
    with _opened(outputs) as store:
        for run_id, key, step, value, is_nan in store.execute("SELECT run_uuid, key, step, value, is_nan FROM metrics"):
            found.setdefault(run_id, Counter())[key, step, None if is_nan else value] += 1
    return found


def children(found: list[Stored]) -> list[Stored]:
    """Return the runs that are part of a sweep."""
    return [run for run in found if run.parent is not None]


def problems(found: list[Stored], jobs: int) -> list[str]:
    """Return what is missing of one sweep that should be there whole: its parent, and each child with all it has."""
    parents = [run for run in found if run.parent is None]
    if len(parents) != 1 or len(found) != jobs + 1:
        return [f"{len(parents)} parents and {len(found) - len(parents)} children in MLflow"]
    (parent,) = parents
    wrong = [] if parent.status == "FINISHED" else [f"the parent is {parent.status} in MLflow"]
    for run in children(found):
        if run.status != "FINISHED":
            wrong.append(f"{run.name} is {run.status} in MLflow")
        if run.parent != parent.run_id:
            wrong.append(f"{run.name} is no child of the sweep in MLflow")
        if not run.rows or run.doubled:
            wrong.append(f"{run.name} has {run.rows} metrics in MLflow, {run.doubled} of them again")
        if not any(file.startswith("plots/") for file in run.artifacts):
            wrong.append(f"{run.name} has no plots in MLflow")
        if not any(file.startswith("checkpoints/") for file in run.artifacts):
            wrong.append(f"{run.name} has no checkpoints in MLflow")
    return wrong


@contextmanager
def _opened(outputs: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{outputs / 'mlflow.db'}?mode=ro", uri=True)) as store:
        yield store


def _files(uri: str) -> frozenset[str]:
    folder = Path(unquote(urlparse(uri).path))
    return frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
