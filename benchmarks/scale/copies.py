"""Copies: records of runs that were not trained, each a real one's under an id of its own."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

from nnlab import runner
from nnlab.compose import Job, compose_job, hydra_app
from nnlab.sweep.work import Task


def template(folder: Path, overrides: list[str]) -> Path:
    """Train a run and return its directory.

    Args:
        folder: to be made.
        overrides: of it.
    """
    job = _job(overrides)
    (outcome,) = runner.run([job], [folder], threads=1)
    assert outcome.status == "FINISHED", outcome  # noqa: S101
    return folder


def copy(source: Path, target: Path, run_id: str | None = None, parent: str | None = None) -> None:
    """Copy a run's record under another id.

    Args:
        source: directory of the run.
        target: of the copy, to be made.
        run_id: of the copy; by default a new one.
        parent: run id of the sweep that the copy belongs to.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))
    journal = target / "journal.jsonl"
    first, _, rest = journal.read_text().partition("\n")
    header = {**json.loads(first), "run_id": run_id or uuid.uuid4().hex, "parent": parent}
    journal.write_text(f"{json.dumps(header)}\n{rest}")


def tasks(sweep: Path, count: int, overrides: list[str]) -> list[Task]:
    """Return the tasks of a sweep of so many seeds, in a directory that need not be there."""
    job = _job(overrides)
    return [Task(number, job, sweep / str(number), f"seed={number}") for number in range(count)]


def _job(overrides: list[str]) -> Job:
    with hydra_app(overrides) as hydra:
        return compose_job(hydra, overrides)
