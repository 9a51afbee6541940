"""Results: all of a sweep that must not depend on whether it was stopped in between, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import left
from benchmarks.left import Left
from benchmarks.sweeps import records, stored

JOBS = 40

Result = Mapping[str, Left]
"""What the sweep has left as ``sweep``, and its jobs as ``job 0`` and so on."""


def read(outputs: Path) -> Result:
    """Read the only sweep of an outputs root."""
    found = {name: left.read(each) for name, each in left.records(records.sweep_of(outputs)).items()}
    return {name: replace(each, rows=left.rows(outputs, each.run_id)) for name, each in found.items()}


def problems(outputs: Path, expected: Result) -> list[str]:
    """Return what is wrong with the only sweep of an outputs root, which should be as another one is."""
    found = read(outputs)
    wrong = [f"{name} is {each.status}" for name, each in found.items() if each.status != "FINISHED"]
    if (names := {"sweep", *(f"job {number}" for number in range(JOBS))}) != found.keys():
        wrong.append(f"missing or too many: {', '.join(sorted(names ^ found.keys()))}")
    for name in expected.keys() & found.keys():
        wrong += [f"{name}: {problem}" for problem in left.differences(expected[name], found[name])]
    in_mlflow = stored.runs(outputs)
    reasons = [run.name for run in in_mlflow if "nnlab.reason" in run.tags]
    wrong += [f"{', '.join(reasons[:5])}: there is a reason in MLflow"] if reasons else []
    return wrong + stored.problems(in_mlflow, JOBS)
