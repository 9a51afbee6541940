"""Plots: from a run's numbers to matplotlib Figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLORS = {"train": "#4c72b0", "val": "#dd8452", "test": "#55a868"}
_CLASS_COLORS = [
    "#4c72b0",
    "#dd8452",
    "#55a868",
    "#c44e52",
    "#8172b3",
    "#937860",
    "#da8bc3",
    "#8c8c8c",
    "#ccb974",
    "#64b5cd",
]
_MARKED = 30  # up to so many points, a marker each


def curves(steps: Mapping[int, Mapping[str, float]], metric: str, title: str, best_epoch: int | None = None) -> Figure:
    """Plot one metric of every split over the epochs.

    Args:
        steps: epoch -> {``train/loss``: value, ...}.
        metric: ``loss`` (on a log scale if it spans more than a decade) or ``accuracy``.
        title: of the figure.
        best_epoch: marked, if given.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes: Axes = figure.subplots()
    lowest, highest = np.inf, -np.inf
    for split, color in COLORS.items():
        name = f"{split}/{metric}"
        points = [(epoch, values[name]) for epoch, values in steps.items() if np.isfinite(values.get(name, np.nan))]
        if not points:
            continue
        epochs, values = np.array(points).T
        label = "train (running mean of the epoch)" if split == "train" else split
        axes.plot(
            epochs, values, color=color, label=label, marker="." if len(epochs) <= _MARKED else None, linewidth=1.5
        )
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
    if metric == "loss" and 0 < lowest < highest / 10:
        axes.set_yscale("log")
    if best_epoch is not None:
        axes.axvline(
            best_epoch, color="#8c8c8c", linestyle="--", linewidth=1, label=f"best val/loss: epoch {best_epoch}"
        )
    axes.set(xlabel="epoch", ylabel=metric, title=title)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    return figure


def updates(recorded: Sequence[tuple[int, float, float]], title: str) -> Figure:
    """Plot loss (on a log scale if it spans more than a decade) and error of each batch over the updates.

    Args:
        recorded: step, loss and accuracy of each; the error is 1 - accuracy.
        title: of the figure.
    """
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps, losses, accuracies = np.array(recorded, dtype=float).T
    marker = "." if len(steps) <= _MARKED else None
    upper.plot(steps, losses, color=COLORS["train"], marker=marker, linewidth=0.8)
    finite = losses[np.isfinite(losses)]
    if finite.size and 0 < finite.min() < finite.max() / 10:
        upper.set_yscale("log")
    lower.plot(steps, 1 - accuracies, color=COLORS["train"], marker=marker, linewidth=0.8)
    upper.set(ylabel="loss", title=title)
    lower.set(xlabel="update", ylabel="error (1 - accuracy)")
    lower.set_ylim(bottom=0)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], class_names: Sequence[str], title: str
) -> Figure:
    """Plot how often each class (row) was taken for each (column), coloured by the share of the row.

    Args:
        labels: ``[n]``.
        predictions: ``[n]``; an output beyond the classes gets a column of its own number.
        class_names: by label.
        title: of the figure.
    """
    size = max(len(class_names), int(predictions.max()) + 1)
    names = [*class_names, *map(str, range(len(class_names), size))]
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.4 + 0.36 * size
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes: Axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=8)
    rotation = 45 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(size), names, rotation=rotation, ha="right" if rotation else "center")
    axes.set_yticks(range(size), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=10)
    return figure


def decision_boundary(
    predict: Callable[[NDArray[Any]], NDArray[np.int64]],
    points: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]],
    names: Sequence[str],
    title: str,
    margin: float = 0.5,
    across: int = 400,
) -> Figure:
    """Plot the class that a network with two inputs predicts at each place, and the samples.

    Args:
        predict: ``[n, 2]`` -> labels ``[n]``.
        points: split -> (inputs ``[n, 2]``, labels ``[n]``).
        names: of the two inputs.
        title: of the figure.
        margin: around the samples, in the inputs' unit.
        across: places of the grid in each direction.
    """
    everything = np.concatenate([x for x, _ in points.values()])
    low, high = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    horizontal, vertical = np.meshgrid(*(np.linspace(low[axis], high[axis], across) for axis in (0, 1)))
    regions = predict(np.column_stack([horizontal.ravel(), vertical.ravel()])).reshape(horizontal.shape)
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes: Axes = figure.subplots()
    levels = np.arange(max(regions.max(), max(y.max() for _, y in points.values())) + 2) - 0.5
    colors = [_CLASS_COLORS[label % len(_CLASS_COLORS)] for label in range(len(levels) - 1)]
    axes.contourf(horizontal, vertical, regions, levels=levels, colors=colors, alpha=0.25)
    for marker, (split, (x, y)) in zip("osD", points.items(), strict=False):
        of_class = [colors[label] for label in y]
        axes.scatter(x[:, 0], x[:, 1], s=22, c=of_class, marker=marker, edgecolors="white", linewidths=0.5, label=split)
    axes.set(xlabel=names[0], ylabel=names[1], title=title)
    if len(points) > 1:
        legend = axes.legend(frameon=False, loc="upper right")
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_facecolor("#555555")  # type: ignore[attr-defined] # shape is split, colour is class
    return figure
