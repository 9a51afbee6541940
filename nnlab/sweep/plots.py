"""Plots of a sweep: from many runs' numbers to matplotlib Figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnlab.figures import (
    CYCLE,
    LETTER,
    add_axes,
    plain,
    scale_to,
    shortened,
    title_height,
)

_LABEL = 44  # letters of a line of a setting's name


class Bundle(NamedTuple):
    """The learning curves of one setting's runs: ``epochs`` ``[points]`` and ``values`` ``[runs, points]``."""

    epochs: NDArray[np.int64]
    values: NDArray[np.float64]


class Finals(NamedTuple):
    """Where one setting's runs ended: each run's value, their mean and its interval."""

    values: NDArray[np.float64]
    mean: float
    low: float
    high: float


def learning_curves(metrics: Mapping[str, Mapping[str, Bundle]], title: str) -> Figure:
    """Plot the median over each setting's runs (a line) and their middle half (a band) over the epochs.

    Args:
        metrics: name of a metric (a panel; a loss has a log scale if it spans more than a decade) -> setting -> its
            runs.
        title: of the figure.
    """
    settings = list(dict.fromkeys(label for bundles in metrics.values() for label in bundles))
    names = [_folded(label) for label in settings]
    legend_width = 0.95 + LETTER * _columns(names)
    panel, left, gap = 4.6, 0.95, 0.95
    width = len(metrics) * (panel + gap) + legend_width
    height = max(3.6, 0.2 + 0.21 * sum(name.count("\n") + 1.2 for name in names)) + 0.65 + title_height(title, width)
    figure = Figure(figsize=(width, height))
    for position, (metric, bundles) in enumerate(metrics.items()):
        begin = position * (panel + gap) + left
        axes = _side_by_side(figure, position, title, begin, panel)
        medians = [_band(axes, bundles[label], CYCLE[settings.index(label) % len(CYCLE)]) for label in bundles]
        if metric.endswith("loss"):
            scale_to(axes, np.concatenate(medians))
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(alpha=0.3)
    handles = [axes.plot([], [], color=CYCLE[each % len(CYCLE)], linewidth=1.8)[0] for each in range(len(settings))]
    place = ((width - legend_width + 0.1) / width, (height - title_height(title, width) - 0.1) / height)
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=place, frameon=False)
    return figure


def final_metrics(metrics: Mapping[str, Mapping[str, Finals]], notes: Mapping[str, str], title: str) -> Figure:
    """Plot where each setting's runs ended: a faint dot a run, the mean and its interval.

    Args:
        metrics: name of a metric (a panel) -> setting -> its runs, the same settings in each panel.
        notes: setting -> what is written behind its name.
        title: of the figure.
    """
    settings = list(next(iter(metrics.values())))
    names = [_folded(f"{label}{notes.get(label, '')}") for label in settings]
    left, panel, gap = 0.3 + LETTER * _columns(names), 4.4, 0.35
    width = left + len(metrics) * (panel + gap)
    row_height = max(0.27 if len(settings) > 5 else 0.45, 0.12 + 0.17 * max(name.count("\n") + 1 for name in names))
    figure = Figure(figsize=(width, 0.95 + row_height * len(settings) + title_height(title, width)))
    for position, (metric, finals) in enumerate(metrics.items()):
        begin = left + position * (panel + gap)
        axes = _side_by_side(figure, position, title, begin, panel)
        for row, label in enumerate(settings):
            _dots(axes, row, finals[label], CYCLE[row] if row < len(CYCLE) else "#555555")
        everything = np.concatenate([each.values for each in finals.values()])
        if not scale_to(axes, everything, "x"):
            axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_yticks(range(len(settings)), names)
        axes.tick_params(axis="y", length=0, labelleft=position == 0)
        axes.set_ylim(len(settings) - 0.5, -0.5)
        axes.set_xlabel(metric)
        axes.grid(alpha=0.3, axis="x")
    return figure


def _folded(label: str) -> str:
    """Return a setting's name in lines that fit beside a picture."""
    return plain("\n".join(textwrap.wrap(shortened(label, 4 * _LABEL), _LABEL, break_on_hyphens=False)))


def _columns(names: Sequence[str]) -> int:
    return max(len(line) for name in names for line in name.splitlines())


def _side_by_side(figure: Figure, position: int, title: str, begin: float, width: float) -> Axes:
    """Add one of several axes side by side, under a title that they share."""
    whole = figure.get_size_inches()[0]
    sides = {"left": begin, "right": whole - begin - width}
    if position == 0:
        return add_axes(figure, title, **sides)
    return add_axes(figure, "", **sides, top=0.1 + title_height(title, whole))


def _band(axes: Axes, bundle: Bundle, color: str) -> NDArray[np.float64]:
    """Draw the median and the middle half of some runs, and return the median."""
    lower, median, upper = np.nanquantile(bundle.values, (0.25, 0.5, 0.75), axis=0)
    if len(bundle.values) > 1:
        axes.fill_between(bundle.epochs, lower, upper, color=color, alpha=0.18, linewidth=0)
    axes.plot(bundle.epochs, median, color=color, linewidth=1.6, marker="." if len(bundle.epochs) < 30 else None)
    return np.asarray(median)


def _dots(axes: Axes, row: int, finals: Finals, color: str) -> None:
    offsets = (np.arange(len(finals.values)) * 0.618034) % 1 - 0.5  # spread evenly, the same each time
    faint = 0.4 if len(finals.values) <= 100 else 0.12
    if len(finals.values) > 1:
        axes.scatter(finals.values, row + 0.5 * offsets, s=9, color=color, alpha=faint, linewidths=0)
    if np.isfinite(finals.low):
        axes.plot([finals.low, finals.high], [row, row], color=color, linewidth=2.2, solid_capstyle="butt")
    axes.plot([finals.mean], [row], "o", color=color, markersize=5.5, markeredgecolor="white", markeredgewidth=0.8)
