"""Plots: from a run's numbers to matplotlib Figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnlab.figures import (
    CYCLE,
    LETTER,
    SPLIT_COLORS,
    add_axes,
    draw_line,
    plain,
    scale_to,
    shortened,
    title_height,
)


def curves(steps: Mapping[int, Mapping[str, float]], metric: str, title: str, best_epoch: int | None = None) -> Figure:
    """Plot one metric of every split over the epochs.

    Args:
        steps: epoch -> {``train/loss``: value, ...}.
        metric: ``loss`` (on a log scale if it spans more than a decade) or ``accuracy``.
        title: of the figure.
        best_epoch: marked, if given.
    """
    figure = Figure(figsize=(7, 4.4))
    axes = add_axes(figure, title, between=0.22)
    epochs = np.array([*steps], dtype=float)
    drawn = []
    for split, color in SPLIT_COLORS.items():
        name = f"{split}/{metric}"
        values = np.array([each.get(name, np.nan) for each in steps.values()], dtype=float)
        if np.isfinite(values).any():
            label = "train (running mean of the epoch)" if split == "train" else split
            drawn.append(draw_line(axes, epochs, values, color=color, label=label, linewidth=1.5))
    if metric == "loss" and drawn:
        scale_to(axes, np.concatenate(drawn))
    if best_epoch is not None:
        label = f"best val/loss: epoch {best_epoch}"
        axes.axvline(best_epoch, color="#8c8c8c", linestyle="--", linewidth=1, label=label)
    axes.set(xlabel="epoch", ylabel=metric)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.grid(alpha=0.3)
    if axes.lines:
        # Above the axes, for where in them it would hide nothing takes matplotlib long to find out.
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.46, 0.99), ncols=4, fontsize=9, columnspacing=1.4, frameon=False
        )
    return figure


def updates(recorded: Sequence[tuple[int, float, float]], title: str) -> Figure:
    """Plot loss (on a log scale if it spans more than a decade) and error of each batch over the updates.

    Args:
        recorded: step, loss and accuracy of each; the error is 1 - accuracy.
        title: of the figure.
    """
    figure = Figure(figsize=(7, 5.6))
    upper = add_axes(figure, title, bottom=2.95)
    lower = figure.add_axes((upper.get_position().x0, 0.55 / 5.6, upper.get_position().width, 2.2 / 5.6), sharex=upper)
    steps, losses, accuracies = np.array(recorded, dtype=float).T
    scale_to(upper, draw_line(upper, steps, losses, color=SPLIT_COLORS["train"], linewidth=0.8))
    draw_line(lower, steps, 1 - accuracies, color=SPLIT_COLORS["train"], linewidth=0.8)
    upper.tick_params(labelbottom=False)
    upper.set(ylabel="loss")
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
    names = [plain(shortened(name, 24)) for name in [*class_names, *map(str, range(len(class_names), size))]]
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = max(map(len, names))
    is_slanted = longest > 2
    left, side = 0.55 + LETTER * longest, max(2.8, 0.4 * size)
    bottom = 0.55 + (0.8 * LETTER * longest if is_slanted else 0.15)
    width = left + side + 0.2
    figure = Figure(figsize=(width, bottom + side + 0.1 + title_height(title, width)))
    axes = add_axes(figure, title, left=left, bottom=bottom)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*counts.nonzero(), strict=True):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=8)
    if is_slanted:
        axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(size), names)
    axes.set_yticks(range(size), names)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def decision_boundary(
    predict: Callable[[NDArray[Any]], NDArray[np.int64]],
    points: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]],
    names: Sequence[str],
    title: str,
    margin: float = 0.5,
    across: int = 300,
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
    figure = Figure(figsize=(7, 5))
    axes = add_axes(figure, title)
    regions(axes, predict, points, margin, across)
    axes.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
    if len(points) > 1:
        legend = axes.legend(framealpha=0.7, edgecolor="none", loc="upper right")
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_facecolor("#555555")  # type: ignore[attr-defined] # shape is split, colour is class
    return figure


def regions(
    axes: Axes,
    predict: Callable[[NDArray[Any]], NDArray[np.int64]],
    points: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]],
    margin: float = 0.5,
    across: int = 300,
    size: float = 22,
) -> None:
    """Draw ``decision_boundary`` into some axes; ``size`` is the markers' area in square points."""
    everything = np.concatenate([x for x, _ in points.values()])
    low, high = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    horizontal, vertical = np.meshgrid(*(np.linspace(low[axis], high[axis], across) for axis in (0, 1)))
    classes = predict(np.column_stack([horizontal.ravel(), vertical.ravel()])).reshape(horizontal.shape)
    levels = np.arange(max(classes.max(), max(y.max() for _, y in points.values())) + 2) - 0.5
    colors = [CYCLE[label % len(CYCLE)] for label in range(len(levels) - 1)]
    axes.contourf(horizontal, vertical, classes, levels=levels, colors=colors, alpha=0.25)
    for marker, (split, (x, y)) in zip("osD", points.items(), strict=False):
        of_class = [colors[label] for label in y]
        style = {"s": size, "marker": marker, "edgecolors": "white", "linewidths": 0.5}
        axes.scatter(x[:, 0], x[:, 1], c=of_class, label=split, **style)  # type: ignore[arg-type]
