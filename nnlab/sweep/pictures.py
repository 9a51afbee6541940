"""Pictures of a sweep: what its runs come to, drawn from their histories and checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab import comparison, index, journal
from nnlab.build import build
from nnlab.errors import NnlabError
from nnlab.network import load
from nnlab.saved_config import load_config
from nnlab.sweep import maps, plots
from nnlab.sweep.maps import Panel
from nnlab.sweep.plots import Bundle, Finals

_CURVES, _FINALS, _PANELS = 10, 40, 25  # settings that fit into a picture and can be told apart
_POINTS = 300  # of a learning curve
_Groups = dict[str, pd.DataFrame]  # setting -> its FINISHED runs, the best setting first


def draw(runs: pd.DataFrame, result: pd.DataFrame, name: str) -> Iterator[tuple[str, Figure]]:
    """Yield the pictures of a sweep that its runs have something for, each with the name of its file.

    Args:
        runs: a row a run, as of ``frames.frame``.
        result: what ``comparison.compare`` made of them.
        name: of the sweep, for the titles.
    """
    groups = _groups(runs, result)
    curves = _curves({label: groups[label] for label in [*groups][:_CURVES]})
    if curves:
        is_one = all(len(bundle.values) == 1 for bundles in curves.values() for bundle in bundles.values())
        about = "one run each" if is_one else "median and middle half of the seeds"
        title = f"{name}\n{about}{_left_out(groups, _CURVES, result)}"
        yield "curves.png", plots.learning_curves(curves, title)
    about = "each run, the mean of the seeds and its 95 % interval" if (result["n"] > 1).any() else "one run each"
    title = f"{name}\n{about}{_left_out(result.attrs['labels'], _FINALS, result)}"
    yield "metrics.png", plots.final_metrics(_finals(groups, runs, result), _failures(result), title)
    if _is_grid(result):
        yield "heatmap.png", _heatmap(result, name)
    panels, unloadable = _panels({label: groups[label] for label in [*groups][:_PANELS]})
    if panels:
        about = "of each setting the run of the median loss, its network and all samples"
        title = f"{name}\n{about}{_left_out(groups, _PANELS, result)}"
        if unloadable:
            title += f"\nno network to load: {', '.join(unloadable)}"
        yield "decision_boundaries.png", maps.decision_boundaries(panels, title)


def _groups(runs: pd.DataFrame, result: pd.DataFrame) -> _Groups:
    """Return the runs that count of each row of ``result`` that has any."""
    keys = result.attrs["settings"]
    counts = runs[(runs["status"] == "FINISHED") & np.isfinite(runs[result.attrs["metric"]])]
    rows: dict[Hashable, list[int]] = {}
    for row, values in enumerate(counts[keys].itertuples(index=False, name=None)):
        rows.setdefault(_key(values), []).append(row)
    settings = result[keys].itertuples(index=False, name=None)
    places = {label: rows.get(_key(values)) for label, values in zip(result.attrs["labels"], settings, strict=True)}
    return {label: counts.iloc[place] for label, place in places.items() if place}


def _key(values: Sequence[Any]) -> Hashable:
    return tuple(None if pd.isna(value) else value for value in values)


def _left_out(settings: Collection[str], most: int, result: pd.DataFrame) -> str:
    """Return what the title says of settings that are not shown."""
    if len(settings) <= most:
        return ""
    return f"; the best {most} of {len(settings)} settings by {result.attrs['metric']}, the others left out"


def _failures(result: pd.DataFrame) -> dict[str, str]:
    """Return what is written behind the names of settings of which runs failed."""
    return {
        label: f"  ({'all ' if n == 0 else ''}{failed} failed)"
        for label, failed, n in zip(result.attrs["labels"], result["failed"], result["n"], strict=True)
        if failed
    }


def _curves(groups: _Groups) -> dict[str, dict[str, Bundle]]:
    """Return the learning curves of each setting's runs on the validation part, where all have one."""
    has_val = all(np.isfinite(runs["final/val_loss"]).all() for runs in groups.values() if "final/val_loss" in runs)
    split = "val" if has_val and all("final/val_loss" in runs for runs in groups.values()) else "train"
    names = [f"{split}/loss", f"{split}/accuracy"]
    curves: dict[str, dict[str, Bundle]] = {name: {} for name in names}
    for label, runs in groups.items():
        histories = [each for directory in runs["directory"] if len((each := _history(Path(directory), names))[0])]
        if histories:
            epochs = np.unique(np.concatenate([each for each, _ in histories]))
            epochs = epochs[_thinned(len(epochs))]
            values = np.stack([_at(epochs, *each) for each in histories])
            for number, name in enumerate(names):
                curves[name][label] = Bundle(epochs, values[:, :, number])
    return {name: bundles for name, bundles in curves.items() if bundles}


def _history(directory: Path, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return a run's epochs ``[points]`` and some metrics ``[points, names]``, no more points than can be seen."""
    rows = [row for row in _rows(directory, ("epoch", *names)) if "" not in row]
    table = np.array([rows[place] for place in _thinned(len(rows))], np.float64).reshape(-1, 1 + len(names))
    table = table[np.isfinite(table).all(axis=1)]
    return table[:, 0].astype(np.int64), table[:, 1:]


def _rows(directory: Path, names: Sequence[str]) -> list[list[Any]]:
    """Return some columns of a run's history, in a tenth of the time that its journal takes."""
    path = directory / "history.csv"
    if not path.is_file():
        steps = journal.read(directory).steps
        return [[{"epoch": epoch, **values}.get(name, "") for name in names] for epoch, values in steps.items()]
    head, *lines = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
    columns = [head.index(name) for name in names if name in head]
    return [[line[column] for column in columns] for line in lines] if len(columns) == len(names) else []


def _thinned(length: int) -> NDArray[np.int64]:
    """Return the places of points, spread evenly over all, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(np.int64))


def _at(epochs: NDArray[np.int64], known: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that hold at each epoch: a run that has stopped early keeps its last ones."""
    place = np.searchsorted(known, epochs, side="right") - 1
    return np.where(place[:, None] >= 0, values[place], np.nan)


def _finals(groups: _Groups, runs: pd.DataFrame, result: pd.DataFrame) -> dict[str, dict[str, Finals]]:
    """Return where each setting's runs ended, in the metric compared and, of an accuracy, in the loss beside it."""
    metric = result.attrs["metric"]
    tables = {metric: result}
    beside = metric.replace("accuracy", "loss")
    if beside != metric and beside in runs:
        tables[beside] = comparison.compare(runs=runs, metric=beside, by=result.attrs["settings"])
    finals: dict[str, dict[str, Finals]] = {}
    for name, table in tables.items():
        statistics = zip(table["mean"], table["low"], table["high"], strict=True)
        found = dict(zip(table.attrs["labels"], statistics, strict=True))
        finals[name] = {
            label: Finals(_values(groups.get(label), name), *found[label]) for label in result.attrs["labels"][:_FINALS]
        }
    return finals


def _values(runs: pd.DataFrame | None, metric: str) -> NDArray[np.float64]:
    values = np.empty(0) if runs is None else runs[metric].to_numpy(np.float64)
    return values[np.isfinite(values)]


def _is_grid(result: pd.DataFrame) -> bool:
    """Say whether two numbers were swept, and nothing else but the seed."""
    keys = result.attrs["settings"]
    return len(keys) == 2 and all(_is_axis(result[key]) for key in keys)


def _is_axis(values: pd.Series[Any]) -> bool:
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return is_number and bool(values.notna().all())


def _heatmap(result: pd.DataFrame, name: str) -> Figure:
    table = result.pivot(index=result.attrs["settings"][0], columns=result.attrs["settings"][1], values="mean")
    rows, columns = table.index, table.columns
    return maps.heatmap(
        table.to_numpy(np.float64),
        (str(rows.name), [float(value) for value in rows]),
        (str(columns.name), [float(value) for value in columns]),
        result.attrs["metric"],
        f"{name}\nmean of the seeds",
        lower_is_better=result.attrs["lower_is_better"],
    )


def _panels(groups: _Groups) -> tuple[list[Panel], list[str]]:
    """Return the network of a typical run of each setting whose data has two features, and where there is none."""
    panels: list[Panel] = []
    unloadable: list[str] = []
    for label, runs in groups.items():
        part = "val" if "final/val_loss" in runs and runs["final/val_loss"].notna().all() else "train"
        run = runs.sort_values(f"final/{part}_loss", kind="stable").iloc[(len(runs) - 1) // 2]
        directory = Path(run["directory"])
        if index.entries([directory])[0].run["dataset"]["features"] != 2:
            continue
        try:
            network = load(directory)
            stack = build([load_config(directory / "config.yaml")])
        except NnlabError:  # damaged, or components of one's own, not imported on the word of a file: see saved_config
            unloadable.append(label)
            continue
        data, split = stack.dataset, stack.splits[0]
        places = {name: getattr(split, name) for name in stack.parts}
        points = {name: (data.x[place] / data.scale, data.y[place]) for name, place in places.items()}
        about = f"seed {run['seed']}: {part}/accuracy {run[f'final/{part}_accuracy']:.3f}"
        panels.append(Panel(f"{label}\n{about}", network.predict, points))
    return panels, unloadable
