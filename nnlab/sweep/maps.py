"""Maps of a sweep: a metric over two swept numbers, and the plane as several networks divide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.figures import LETTER, add_axes, plain, shortened, title_height, wrapped
from nnlab.plots import regions

_WRITTEN = 14  # a heat map of up to so many rows and columns has its numbers written into it


class Panel(NamedTuple):
    """One network with two inputs, and the samples: split -> (inputs ``[n, 2]``, labels ``[n]``)."""

    label: str
    predict: Callable[[NDArray[Any]], NDArray[np.int64]]
    points: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]]


def heatmap(
    values: NDArray[np.float64],
    rows: tuple[str, Sequence[float]],
    columns: tuple[str, Sequence[float]],
    metric: str,
    title: str,
    *,
    lower_is_better: bool,
) -> Figure:
    """Plot a metric over two numbers that were swept.

    Better is darker, on a log scale for a loss that spans more than a decade; a place without a value is hatched.

    Args:
        values: ``[rows, columns]``.
        rows: name of the key and its values, in order; evenly spaced whatever they are.
        columns: likewise.
        metric: its name.
        title: of the figure.
        lower_is_better: of the metric.
    """
    shape = values.shape
    is_written = max(shape) <= _WRITTEN
    cell = (0.62, 0.42) if is_written else (0.26, 0.26)
    inner = (max(2.6, min(12.0, cell[0] * shape[1])), max(2.2, min(12.0, cell[1] * shape[0])))
    labels = [[f"{value:g}" for value in axis[1]] for axis in (rows, columns)]
    left = 0.5 + LETTER * max(map(len, labels[0]))
    longest = max(map(len, labels[1]))
    is_upright = longest * LETTER > 0.9 * inner[0] / shape[1]
    bottom = 0.45 + (LETTER * longest if is_upright else 0.15)
    width = left + inner[0] + 1.3
    figure = Figure(figsize=(width, bottom + inner[1] + 0.15 + title_height(title, width)))
    axes = add_axes(figure, title, left=left, right=1.3, bottom=bottom)
    axes.set_facecolor("#f0f0f0")
    axes.patch.set_hatch("///")
    axes.patch.set_edgecolor("#bbbbbb")
    finite = values[np.isfinite(values)]
    is_log = lower_is_better and 0 < finite.min() < finite.max() / 10
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="viridis" if lower_is_better else "viridis_r",
        norm="log" if is_log else "linear",
        aspect="auto",
        origin="lower",
    )
    if is_written:
        shares = np.asarray(image.norm(values))  # of the colour map's length
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
            share = shares[row, column]
            color = "white" if (share < 0.5 if lower_is_better else share > 0.5) else "black"
            text = f"{values[row, column]:.3g}" if lower_is_better else f"{values[row, column]:.3f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    every = [math.ceil(size * 0.2 / room) for size, room in zip(shape, inner[::-1], strict=True)]
    axes.set_xticks(range(0, shape[1], every[1]), labels[1][:: every[1]], rotation=90 if is_upright else 0)
    axes.set_yticks(range(0, shape[0], every[0]), labels[0][:: every[0]])
    axes.set(xlabel=plain(columns[0]), ylabel=plain(rows[0]))
    room = axes.get_position()
    figure.colorbar(
        image, cax=figure.add_axes((room.x1 + 0.15 / width, room.y0, 0.18 / width, room.height)), label=metric
    )
    return figure


def decision_boundaries(panels: Sequence[Panel], title: str) -> Figure:
    """Plot the classes that several networks with two inputs predict at each place, and the samples, side by side.

    Args:
        panels: a network each.
        title: of the figure.
    """
    columns = min(len(panels), 5 if len(panels) > 12 else 4 if len(panels) > 6 else 3)
    rows = math.ceil(len(panels) / columns)
    side, gap, head = 2.3, 0.15, 0.5
    width = max(4.0, columns * (side + gap) + gap)
    margin = (width - columns * (side + gap) + gap) / 2
    height = rows * (side * 0.8 + head) + 0.2 + title_height(title, width)
    figure = Figure(figsize=(width, height))
    figure.suptitle(plain(wrapped(title, width)), fontsize=10.5, y=1 - 0.08 / height, va="top")
    for position, panel in enumerate(panels):
        row, column = divmod(position, columns)
        below = (rows - row - 1) * (side * 0.8 + head) + 0.12
        room = ((margin + column * (side + gap)) / width, below / height, side / width, side * 0.8 / height)
        axes = figure.add_axes(room)
        regions(axes, panel.predict, panel.points, margin=0.3, across=200, size=5)
        lines = "\n".join(wrapped(shortened(line, 60), side * 1.15) for line in panel.label.splitlines())
        axes.set_title(plain(lines), fontsize=8, pad=3)
        axes.set(xticks=[], yticks=[])
    return figure
