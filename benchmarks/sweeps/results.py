"""Results: all of a sweep that must not depend on whether it was stopped in between, and how two of them differ."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.sweeps import records, stored
from benchmarks.sweeps.stored import Row
from nnlab import journal

JOBS = 40

_Numbers = dict[tuple[int, str], list[float | str]]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Result:
    """What is left of a sweep.

    Attributes:
        checkpoints: job/path -> SHA-256 of each file in the jobs' ``checkpoints``, hidden ones too.
        files: job/path of all other files, without hidden ones and ``uncommitted.diff``.
        numbers: job -> (step, name) -> the values that the journal has, which should be one.
        rows: job -> MLflow's metrics.
        answer: what the sweep comes to, its ``compare.csv``.
    """

    checkpoints: dict[str, str]
    files: dict[str, bool]
    numbers: dict[int, _Numbers]
    rows: dict[int, Counter[Row]]
    answer: dict[str, bytes]


def read(outputs: Path) -> Result:
    """Read the only sweep of an outputs root."""
    directory = records.sweep_of(outputs)
    jobs = records.jobs(directory)
    checkpoints, files = dict[str, str](), dict[str, bool]()
    for path in (path for job in jobs.values() for path in job.rglob("*") if path.is_file()):
        name = path.relative_to(directory)
        if "checkpoints" in name.parts:
            checkpoints[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not path.name.startswith(".") and path.name != "uncommitted.diff":  # which git decides, not the sweep
            files[name.as_posix()] = True
    in_mlflow = {run.tags.get("nnlab.run_id"): run.run_id for run in stored.runs(outputs)}
    metrics = stored.metrics(outputs)
    rows = {number: metrics.get(in_mlflow.get(_run_id(job), ""), Counter()) for number, job in jobs.items()}
    answer = directory / "compare.csv"
    return Result(
        checkpoints,
        files,
        {number: _numbers(job) for number, job in jobs.items()},
        rows,
        {answer.name: answer.read_bytes()} if answer.is_file() else {},
    )


def problems(outputs: Path, expected: Result) -> list[str]:
    """Return what is wrong with the only sweep of an outputs root, which should be as another one is."""
    found, directory = read(outputs), records.sweep_of(outputs)
    wrong = []
    for number, job in {**records.jobs(directory), -1: directory}.items():
        status = journal.read(job).status
        if status != "FINISHED":
            wrong.append(f"{'the sweep' if number < 0 else f'job {number}'} is {status}")
    wrong += _differences("the runs", dict.fromkeys(range(JOBS), True), dict.fromkeys(found.numbers, True))
    wrong += _differences("checkpoints", expected.checkpoints, found.checkpoints)
    wrong += _differences("files", expected.files, found.files)
    wrong += _differences("the answer", expected.answer, found.answer)
    for number in expected.numbers.keys() & found.numbers.keys():
        doubled = [each for each, values in found.numbers[number].items() if len(values) > 1]
        wrong += [f"job {number}: {len(doubled)} numbers twice, {doubled[0]} first"] if doubled else []
        timeless = (_timeless(each.numbers[number]) for each in (expected, found))
        wrong += _differences(f"job {number}: numbers", *timeless)
        wrong += _differences(
            f"job {number}: rows in MLflow", *(_untimed(each.rows[number]) for each in (expected, found))
        )
        if (count := found.rows[number].total()) != (should := expected.rows[number].total()):
            wrong.append(f"job {number}: {count} rows in MLflow instead of {should}")
    found_runs = stored.runs(outputs)
    reasons = [run.name for run in found_runs if "nnlab.reason" in run.tags]
    wrong += [f"{', '.join(reasons[:5])}: there is a reason in MLflow"] if reasons else []
    return wrong + stored.problems(found_runs, JOBS)


def _run_id(job: Path) -> str:
    return str(journal.read(job).run["run_id"])


def _numbers(job: Path) -> _Numbers:
    found: _Numbers = {}
    for event, _ in journal.read_events(job / journal.NAME):
        if event["type"] == "metrics":
            for name, value in event["metrics"].items():
                found.setdefault((event["step"], name), []).append(value)
    return found


def _timeless(numbers: _Numbers) -> dict[tuple[int, str], str]:
    """Return the numbers without what the clock said, though with the fact that it was asked."""
    return {key: "" if key[1].startswith("time/") else repr(values) for key, values in numbers.items()}


def _untimed(rows: Counter[Row]) -> Counter[Row]:
    return Counter(
        {(key, step, None if key.startswith("time/") else value): count for (key, step, value), count in rows.items()}
    )


def _differences(what: str, expected: Mapping[_Key, _Value], found: Mapping[_Key, _Value]) -> list[str]:
    """Return a line that counts what is missing, too much and different, with an example; none if nothing is."""
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key] != expected[key]]
    parts = [
        f"{len(keys)} {word} ({keys[0]})"
        for keys, word in ((missing, "missing"), (extra, "too many"), (other, "different"))
        if keys
    ]
    return [f"{what}: {', '.join(parts)}"] if parts else []
