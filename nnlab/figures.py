"""Figures: what all pictures have in common.

Most of the time of a small figure goes into the layout engine, which draws everything twice, and into ticks; a sweep
has thousands of them. So margins are given in inches, and what no pixel can show is left out of lines.
"""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from nnlab.errors import naming

SPLIT_COLORS = {"train": "#4c72b0", "val": "#dd8452", "test": "#55a868"}
CYCLE = (
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
)
LETTER = 0.085
"""Inches that a letter of a label takes, on the safe side."""

_LINE_HEIGHT = 0.19  # inches, of a title
_MARKED = 30  # up to so many points, a marker each
_DRAWABLE = 1e250  # what a run comes to that diverges in float64: beyond, the axes themselves would overflow
_POINTS = 2000  # of a line; our figures are about 1,000 pixels wide


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    # Level 1 instead of 6: files a tenth larger, a tenth of the time saved.
    with naming(path):
        figure.savefig(path, format="png", dpi=120, pil_kwargs={"compress_level": 1})


def add_axes(
    figure: Figure,
    title: str,
    *,
    left: float = 1.0,
    right: float = 0.2,
    bottom: float = 0.55,
    top: float = 0.1,
    between: float = 0.0,
) -> Axes:
    """Put axes with a title into a figure.

    Args:
        figure: has its size already.
        title: broken into at most four lines that fit.
        left: inches beside the axes, for tick labels and the label.
        right: likewise.
        bottom: inches below.
        top: inches above, without the title's own.
        between: inches between the title and the axes, for a legend.
    """
    width, height = figure.get_size_inches()
    text = wrapped(title, width)
    head = top + between + (title_height(title, width) if text else 0)
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - head) / height)
    )
    middle = (width / 2 - left) / (width - left - right)  # of the figure
    axes.set_title(plain(text), fontsize=10.5, x=middle, pad=6 + 72 * between)
    return axes


def title_height(title: str, width: float) -> float:
    """Return the inches that a title takes in a figure of a width in inches."""
    return _LINE_HEIGHT * (wrapped(title, width).count("\n") + 1)


def wrapped(text: str, width: float) -> str:
    """Return a title broken into lines that fit into a width in inches, at most six."""
    letters = max(12, int(width / LETTER))
    lines = [
        piece for line in text.splitlines() for piece in textwrap.wrap(line, letters, max_lines=3, placeholder=" …")
    ]
    return "\n".join(lines[:6])


def shortened(text: str, letters: int) -> str:
    """Return a text with its middle left out where it is longer than some letters."""
    if len(text) <= letters:
        return text
    tail = (letters - 1) // 2
    return f"{text[: letters - 1 - tail]}…{text[len(text) - tail :]}"


def plain(text: str) -> str:
    """Return a text as matplotlib shows it, dollars and all, instead of reading formulas into it."""
    return text.replace("$", r"\$")


def draw_line(axes: Axes, x: NDArray[Any], y: NDArray[Any], **style: Any) -> NDArray[Any]:
    """Draw the points of a line that can be drawn, a marker each if they are few, and return the y of those."""
    finite = np.abs(y) < _DRAWABLE
    x, y = thinned(x[finite], y[finite])
    axes.plot(x, y, marker="." if len(x) <= _MARKED else None, **style)
    return y


def thinned(x: NDArray[Any], y: NDArray[Any], points: int = _POINTS) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return at most so many points of a line: of each stretch the lowest and the highest, and both ends."""
    if len(x) <= points:
        return x, y
    length = math.ceil(len(x) / (points // 2 - 1))
    stretches = np.minimum(np.arange(0, len(x), length)[:, None] + np.arange(length), len(x) - 1)
    rows = np.arange(len(stretches))
    lowest, highest = (stretches[rows, pick(y[stretches], axis=1)] for pick in (np.argmin, np.argmax))
    kept = np.unique(np.concatenate([[0], lowest, highest, [len(x) - 1]]))
    return x[kept], y[kept]


def scale_to(axes: Axes, values: NDArray[Any], which: str = "y") -> bool:
    """Give an axis a log scale if its values are above 0 and span more than a decade; return whether it has one."""
    finite = values[np.isfinite(values)]
    if not finite.size or not 0 < finite.min() < finite.max() / 10:
        return False
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    few = finite.max() < 300 * finite.min()  # decades: else one label might be all
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=9 if which == "y" else 6))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(LogLocator(subs=()))
    return True
