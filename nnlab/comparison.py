"""Compare: runs side by side, grouped by what differs between them except the seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnlab import findings, paths
from nnlab.errors import NnlabError
from nnlab.frames import find_entries, tabulate, varied_params
from nnlab.paired_tests import MOST_SETTINGS, Samples, paired_tests, seed_means, t_interval

_SPLITS = ("test", "val", "train")  # the first that a run has
_LOWER_IS_BETTER = ("loss", "seconds", "epoch", "penalty")


@np.errstate(over="ignore", invalid="ignore")  # a loss that diverged may have squares that overflow
def compare(
    *where: str | Path,
    experiment: str | None = None,
    metric: str | None = None,
    split: str | None = None,
    by: str | Sequence[str] = (),
    filter: str | None = None,  # noqa: A002 - MLflow's word
    runs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return mean, 95 % interval, spread, best and worst of a metric for each setting, the best setting first.

    A setting is what differs between the runs, the seed left out (and the BLAS threads, which change no more than the
    last bits). Only FINISHED runs count; a mean that leaves out ``failed`` ones flatters its setting. So does being the
    first of many: choose on ``split="val"``, and report the chosen setting's test figures.

    Args:
        where: directories of sweeps or runs; none for the newest run's experiment.
        experiment: only its runs.
        metric: ``accuracy`` (the default), ``loss``, or the full name of what was recorded, of which the last value
            counts: ``best/val_loss``, ``time/train_seconds``.
        split: of accuracy or loss, ``train``, ``val`` or ``test``, at the end of the run; by default ``test``, or
            ``val`` or ``train`` where there is no test part.
        by: params to group by instead, ``"activation"`` or ``["activation", "optimizer.lr"]``; what else differs is
            averaged over, in the tests over what both settings have.
        filter: the runs of the MLflow store that match this instead, in MLflow's own language.
        runs: what ``frame`` gave, instead of reading it here.

    Returns:
        a column for each key that makes the setting, then

        - ``mean``, of the seeds; a seed with several runs counts once, with their mean;
        - ``low``, ``high``: 95 % interval of the mean (Student's t over seeds; NaN for one seed). It knows no bounds
          and can reach beyond an accuracy of 1. Two may overlap and the difference be clear all the same, as seeds are
          shared: see ``tests``;
        - ``std``, over seeds (n - 1 below the root);
        - ``best``, ``worst`` run;
        - ``n``, the number of seeds;
        - ``failed``: runs that are FAILED or KILLED, or whose metric is not finite.

        In ``attrs``: ``metric``, ``lower_is_better``, ``settings`` (those columns), ``labels`` (a short text a row),
        ``seeds``, ``tests`` (of the best 5 settings with 2 seeds or more, see ``paired_tests``), ``running`` (runs left
        out because they are under way) and ``notes`` (what a reader should know).

    Raises:
        NnlabError: there are no runs, or none has the metric or a key.
    """
    if filter is not None and (where or runs is not None):
        raise NnlabError("--filter asks the MLflow store: give it without directories")
    table = _read(filter, experiment, where) if runs is None else runs
    name = _metric(table, metric, split)
    lower_is_better = name.rpartition("_")[2].rpartition("/")[2] in _LOWER_IS_BETTER
    varied = varied_params(table)
    keys = _keys(table, by) or varied or ["experiment"]
    averaged = [key for key in varied if key not in keys]

    status, value = table["status"].to_numpy(), table[name].to_numpy(dtype=np.float64)
    counts = (status == "FINISHED") & np.isfinite(value)
    failed = np.isin(status, ("FAILED", "KILLED")) | ((status == "FINISHED") & np.isinf(value))
    groups = table.groupby(keys, dropna=False, sort=False)
    group = groups.ngroup().to_numpy(dtype=np.int64)
    samples = _samples(table, group, np.where(counts, value, np.nan), averaged)

    rows = [_statistics(each, lower_is_better=lower_is_better) for each in samples]
    firsts = np.unique(group, return_index=True)[1]
    result = pd.concat([table[keys].iloc[firsts].reset_index(drop=True), pd.DataFrame(rows)], axis=1)
    result["failed"] = np.bincount(group, weights=failed, minlength=groups.ngroups).astype(int)
    result = result.sort_values("mean", ascending=lower_is_better, kind="stable")
    order, result = result.index, result.reset_index(drop=True)

    labels = findings.labels(result[keys])
    tested = [at for at in range(len(result)) if result["n"].iloc[at] > 1][:MOST_SETTINGS]
    result.attrs = {
        "metric": name,
        "lower_is_better": lower_is_better,
        "settings": keys,
        "labels": labels,
        "seeds": sorted({seed for each in samples for seed in each}, key=lambda seed: (str(type(seed)), seed)),
        "tests": paired_tests({labels[at]: samples[order[at]] for at in tested}),
        "running": int((status == "RUNNING").sum()),
        "notes": [*table.attrs.get("notes", []), *_absent(name, int(((status == "FINISHED") & np.isnan(value)).sum()))],
    }
    return result


def _read(filter: str | None, experiment: str | None, where: Sequence[str | Path]) -> pd.DataFrame:  # noqa: A002
    if filter is None:
        return tabulate(*find_entries(where, experiment))
    from nnlab.tracking.search import search  # imports mlflow: two seconds

    return tabulate(search(paths.outputs_dir(), filter, experiment))


def _metric(table: pd.DataFrame, metric: str | None, split: str | None) -> str:
    """Return the full name of a metric that the runs have."""
    bare = metric or "accuracy"
    is_full = bare not in ("accuracy", "loss")
    if is_full and split is not None:
        raise NnlabError(f"--split goes with accuracy or loss; {bare!r} says by itself what is meant")
    names = [bare] if is_full else [f"final/{part}_{bare}" for part in ((split,) if split else _SPLITS)]
    found = next((name for name in names if name in table and name not in table.attrs["params"]), None)
    if found is None:
        known = ", ".join(sorted(str(name) for name in table if "/" in str(name))) or "none: no run has finished"
        raise NnlabError(f"no run has the metric {names[0]!r}; choose from {known}")
    return found


def _keys(table: pd.DataFrame, by: str | Sequence[str]) -> list[str]:
    keys = [key.strip() for key in by.split(",")] if isinstance(by, str) else list(by)
    for key in keys:
        if key not in table.attrs["params"] and key != "experiment":
            known = ", ".join(varied_params(table)) or "none differs"
            raise NnlabError(f"--by {key}: the runs have no such setting; those that differ: {known}")
    return list(dict.fromkeys(keys))


def _absent(metric: str, runs: int) -> list[str]:
    return [f"finished runs without {metric}: {runs}"] if runs else []


def _samples(
    table: pd.DataFrame, group: NDArray[Any], value: NDArray[np.float64], averaged: list[str]
) -> list[Samples]:
    """Return the samples of each group: what counts (is not NaN), by seed and by the keys that are averaged over."""
    known = "seed" in table
    seeds = table["seed"].tolist() if known else [None] * len(table)
    averaged_over = table[averaged].astype(str).itertuples(index=False, name=None) if averaged else [()] * len(table)
    runs: list[dict[Hashable, dict[Hashable, list[float]]]] = [{} for _ in range(group.max() + 1)]
    for row, (number, seed, at) in enumerate(zip(group, seeds, averaged_over, strict=True)):
        if np.isfinite(value[row]):
            unit = f"run {row}" if seed is None or seed != seed else seed
            runs[number].setdefault(unit, defaultdict(list))[at].append(float(value[row]))
    return [
        {seed: {at: float(np.mean(values)) for at, values in of_seed.items()} for seed, of_seed in each.items()}
        for each in runs
    ]


def _statistics(samples: Samples, *, lower_is_better: bool) -> dict[str, float]:
    """Return the numbers of one setting: of its seeds' means, best and worst of its runs."""
    means = seed_means(samples)
    low, high = t_interval(means)
    values = [value for of_seed in samples.values() for value in of_seed.values()] or [np.nan]
    ends = (min(values), max(values))
    best, worst = ends if lower_is_better else ends[::-1]
    return {
        "mean": float(means.mean()) if len(means) else np.nan,
        "low": low,
        "high": high,
        "std": float(means.std(ddof=1)) if len(means) > 1 else np.nan,
        "best": best,
        "worst": worst,
        "n": len(means),
    }
