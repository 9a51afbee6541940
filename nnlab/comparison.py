"""Compare: runs side by side, grouped by what differs between them except the seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nnlab import journal, paths
from nnlab.errors import NnlabError
from nnlab.tracking import runs

_METRICS = ("final/test_accuracy", "final/val_accuracy", "final/train_accuracy")  # the first that a group has
_NOT_COMPARED = ("seed", "experiment_name", "initializer.from")
_NOT_COMPARED_GROUPS = ("tracking", "checkpoint")


def frame(directories: Iterable[Path]) -> pd.DataFrame:
    """Return one row a run: directory, name, experiment, status, reason, its params and the last of each metric.

    ``attrs["params"]`` says which columns are params.

    Raises:
        NnlabError: a journal can't be read.
    """
    rows: list[dict[str, Any]] = []
    params: list[str] = []
    for directory in directories:
        record = journal.read(directory)
        if not record.run or "dataset" not in record.run:
            continue  # a sweep's own journal, or a run that was killed before it began
        params += record.params
        rows.append(
            {
                "directory": str(directory),
                "name": record.run["name"],
                "experiment": record.run["experiment"],
                "sweep": record.run["parent"],
                "status": record.status,
                "reason": record.reason,
                **{name: _cell(value) for name, value in record.params.items()},
                **record.metrics,
            }
        )
    table = pd.DataFrame(rows)
    table.attrs["params"] = list(dict.fromkeys(params))
    return table


def find_runs(where: Sequence[str | Path] = (), experiment: str | None = None) -> list[Path]:
    """Return the run directories of some sweeps or runs; without any, those of the newest run's experiment.

    Args:
        where: directories of sweeps or runs.
        experiment: only the runs of this experiment.

    Raises:
        NnlabError: a directory holds no run, or there is none at all.
    """
    found: list[Path] = []
    for given in where:
        path = Path(given).resolve()
        below = sorted(path.glob(f"*/{journal.NAME}"), key=lambda each: (len(each.parent.name), each))
        if not below and not (path / journal.NAME).is_file():
            raise NnlabError(f"{path} holds no run and no sweep")
        found += [each.parent for each in below] or [path]
    if not where:
        outputs = paths.outputs_dir()
        found = runs.find(outputs)
        if not found:
            raise NnlabError(f"there are no runs in {outputs} yet: `nnlab train` makes one")
    if experiment is None and not where:
        newest = max(found, key=lambda directory: (directory / journal.NAME).stat().st_mtime)
        experiment = journal.read(newest).run.get("experiment")
    if experiment is None:
        return found
    records = {directory: journal.read(directory).run for directory in found}
    # A run that `nnlab reproduce` trained again is no further sample of its seed.
    again = {directory for directory, run in records.items() if "nnlab.reproduces" in run.get("tags", {})}
    matching = [directory for directory in found if records[directory].get("experiment") == experiment]
    matching = matching if where else [each for each in matching if each not in again] or matching
    if not matching:
        names = sorted({str(run.get("experiment")) for run in records.values()})
        raise NnlabError(f"no run is of the experiment {experiment!r}; choose from {', '.join(names)}")
    return matching


def compare(
    *where: str | Path, experiment: str | None = None, metric: str | None = None, runs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return mean, standard deviation, worst and best of a metric for each setting, best setting first.

    A setting is what differs between the runs, the seed left out; only FINISHED runs count, the others are counted in
    the column ``failed``.

    Args:
        where: directories of sweeps or runs; none for the newest run's experiment.
        experiment: only its runs.
        metric: by default ``final/test_accuracy``, or val or train accuracy where there is no test part.
        runs: what ``frame`` gave, instead of reading it here.

    Raises:
        NnlabError: there are no runs, or none has the metric.
    """
    table = frame(find_runs(where, experiment)) if runs is None else runs
    metric = metric or next((name for name in _METRICS if name in table), _METRICS[0])
    if metric not in table:
        known = ", ".join(sorted(str(name) for name in table if "/" in str(name))) or "none: no run has finished"
        raise NnlabError(f"no run has the metric {metric!r}; choose from {known}")
    varied = varied_params(table)
    keys = varied or ["experiment"]
    is_finished = table["status"] == "FINISHED"
    counted = table[keys].assign(value=table[metric].where(is_finished), failed=~is_finished)
    grouped = counted.groupby(keys, dropna=False, sort=False)
    result = grouped["value"].agg(["mean", "std", "min", "max", "count"]).rename(columns={"count": "n"})
    result["failed"] = grouped["failed"].sum().astype(int)
    is_loss = metric.rpartition("_")[2] == "loss" or metric.endswith(("seconds", "epoch"))
    result = result.sort_values("mean", ascending=is_loss, kind="stable").reset_index()
    result.attrs["metric"] = metric
    return result


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


def _cell(value: Any) -> Any:
    """Return a param as a table can hold and group it: lists as text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value
