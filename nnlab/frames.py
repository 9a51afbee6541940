"""Frames: runs as rows of a DataFrame, found by sweep, directory or experiment."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from nnlab import index, journal, paths
from nnlab.errors import NnlabError
from nnlab.index import Entry
from nnlab.tracking import runs

_NOT_COMPARED = ("seed", "experiment_name", "initializer.from", "training.blas_threads")
_NOT_COMPARED_GROUPS = ("tracking", "checkpoint")
_RERUN = "nnlab.reproduces"  # tag of a run that `nnlab reproduce` trained again: no further sample of its seed


class Found(NamedTuple):
    """Runs that were looked for, and what a reader should know of those that are missing."""

    entries: list[Entry]
    notes: list[str]


def frame(directories: Iterable[Path]) -> pd.DataFrame:
    """Return one row a run: directory, name, experiment, status, reason, its params and the last of each metric.

    ``attrs["params"]`` says which columns are params.

    Raises:
        NnlabError: a journal can't be read.
    """
    return tabulate(index.entries(list(directories)))


def tabulate(entries: Iterable[Entry], notes: Sequence[str] = ()) -> pd.DataFrame:
    """Return the same of entries; sweeps' own, and those of runs that were killed before they began, are left out.

    ``attrs["notes"]`` has the notes, and what could make runs differ beside their settings.
    """
    rows: list[dict[str, Any]] = []
    params: dict[str, None] = {}
    trained = [entry for entry in entries if isinstance(entry.run.get("dataset"), dict)]
    for entry in trained:
        params |= dict.fromkeys(entry.params)
        rows.append(
            {
                "directory": str(entry.directory),
                "name": entry.run.get("name"),
                "experiment": entry.run.get("experiment"),
                "sweep": entry.run.get("parent"),
                "status": entry.status,
                "reason": entry.reason,
                **{name: _cell(value) for name, value in entry.params.items()},
                **entry.metrics,
            }
        )
    table = pd.DataFrame(rows)
    table.attrs["params"] = list(params)
    table.attrs["notes"] = [*notes, *_notes(trained)]
    return table


def find_runs(where: Sequence[str | Path] = (), experiment: str | None = None) -> list[Path]:
    """Return the run directories of some sweeps or runs; without any, those of the newest run's experiment.

    A sweep's runs are also those elsewhere that it refers to instead of training them again.

    Args:
        where: directories of sweeps or runs.
        experiment: only the runs of this experiment.

    Raises:
        NnlabError: a directory holds no run, there is none at all, or none whose journal can be read.
    """
    return [entry.directory for entry in find_entries(where, experiment).entries]


def find_entries(where: Sequence[str | Path], experiment: str | None) -> Found:
    """Return the entries of the same runs."""
    notes: list[str] = []
    if where:
        directories = _given([Path(given).resolve() for given in where], notes)
    else:
        outputs = paths.outputs_dir()
        directories = runs.find(outputs)
        if not directories:
            raise NnlabError(f"there are no runs in {outputs} yet: `nnlab train` makes one")
    entries, problems = index.readable(directories)
    if not entries:
        raise problems[0]
    notes += [f"left out: {problem}" for problem in problems]
    begun = [entry for entry in entries if "experiment" in entry.run]
    if begun and experiment is None and not where:
        newest = max(begun, key=lambda entry: (entry.directory / journal.NAME).stat().st_mtime)
        experiment = newest.run["experiment"]
    matching = [entry for entry in entries if experiment in (None, entry.run.get("experiment"))]
    if not where:
        matching = [entry for entry in matching if _RERUN not in entry.tags] or matching
    if not matching:
        known = ", ".join(sorted({str(entry.run["experiment"]) for entry in begun})) or "none"
        raise NnlabError(
            f"no run of experiment {experiment!r} in the outputs root; choose from {known}, or ask the MLflow store: "
            f"nnlab compare --experiment {experiment} --filter \"attributes.status = 'FINISHED'\""
        )
    of_this = [entry for entry in entries if experiment in (None, entry.run.get("experiment", experiment))]
    torn = [entry.torn for entry in of_this if entry.torn]
    once = _once(matching, notes)
    return Found(once, [*notes, *torn])


def _once(entries: Sequence[Entry], notes: list[str]) -> list[Entry]:
    """Return entries without copies of a run, by which a seed would count twice; a finished one goes before others."""
    originals: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda each: each.status != "FINISHED"):
        original = originals.setdefault(str(entry.run.get("run_id", entry.directory)), entry)
        if original is not entry:
            notes.append(f"left out: {entry.directory}, which has the run id of {original.directory}: one is a copy")
    kept = {entry.directory for entry in originals.values()}
    return [entry for entry in entries if entry.directory in kept]


def varied_params(table: pd.DataFrame) -> list[str]:
    """Return the params that differ between runs: group choices first, then values that no choice explains."""
    varied = [
        name
        for name in table.attrs["params"]
        if name not in _NOT_COMPARED
        and name.partition(".")[0] not in _NOT_COMPARED_GROUPS
        and table[name].nunique(dropna=False) > 1
    ]
    # relu's derivative_at_zero "differs" from tanh's only because tanh has none: that is the choice again.
    return [name for name in varied if not _is_explained(table, name, [other for other in varied if other != name])]


def _is_explained(table: pd.DataFrame, name: str, others: list[str]) -> bool:
    parents = [other for other in others if name.startswith(f"{other}.")]
    return any((table.groupby(parent, dropna=False)[name].nunique(dropna=False) <= 1).all() for parent in parents)


def _given(directories: Sequence[Path], notes: list[str]) -> list[Path]:
    """Return the runs of sweeps, those elsewhere that these refer to too, or the runs themselves; each once."""
    found: dict[Path, None] = {}
    for directory in directories:
        below, referred = _below(directory)
        there = [path for path in referred if _has_run(path)]
        if gone := len(referred) - len(there):
            notes.append(f"runs that {directory.name} refers to and that are gone: {gone}")
        if not below and not there and (gone or not _has_run(directory)):
            missing = ", and those that it refers to are gone" if gone else " and no sweep"
            raise NnlabError(f"{directory} holds no run{missing}")
        found |= dict.fromkeys([*below, *there] or [directory])
    return list(found)


def _below(directory: Path) -> tuple[list[Path], list[Path]]:
    """Return the runs of a sweep, and those elsewhere that it refers to, be they still there or not."""
    journals = sorted(directory.glob(f"*/{journal.NAME}"), key=lambda each: (len(each.parent.name), each))
    below = dict.fromkeys(each.parent for each in journals)
    if not (directory / "sweep.json").is_file():
        return list(below), []
    from nnlab.sweep import frozen

    below |= dict.fromkeys(path for path in frozen.directories(directory) if _has_run(path))
    return list(below), frozen.referred(directory)


def _has_run(directory: Path) -> bool:
    return (directory / journal.NAME).is_file()


def _notes(entries: Sequence[Entry]) -> list[str]:
    """Return what could make runs differ beside their settings."""
    versions = {entry.tags.get("nnlab.code_version") for entry in entries}
    hashes = defaultdict(set)
    for entry in entries:
        said = {name: value for name, value in entry.params.items() if name.partition(".")[0] == "dataset"}
        hashes[json.dumps(said, sort_keys=True)].add(entry.run["dataset"].get("hash"))
    notes = []
    if len(versions) > 1:
        notes.append(f"these runs are of {len(versions)} versions of nnlab's code, which may be what differs")
    if any(len(each) > 1 for each in hashes.values()):
        notes.append("data of one name differ between these runs, which may be what differs")
    return notes


def _cell(value: Any) -> Any:
    """Return a param as a table can hold and group it: lists as text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value
