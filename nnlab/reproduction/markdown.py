"""Markdown: the table of the README, from what ``report.to_json`` gave."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnlab.errors import NnlabError, naming
from nnlab.reproduction.claims import Figure

_HEADINGS = (
    "experiment",
    "measured",
    "claimed",
    "reached",
    "verdict",
    "the honest figure, where that protocol flatters",
)


def markdown(saved: Mapping[str, Any]) -> str:
    """Return a table with a line for each metric of an experiment, and the honest figure in the same line."""
    lines = [f"| {' | '.join(_HEADINGS)} |", f"|{'---|' * len(_HEADINGS)}"]
    rows: Sequence[Mapping[str, Any]] = saved["rows"]
    for row in (row for row in rows if not row["honest"]):
        twin = next((twin for twin in rows if twin["honest"] and twin["experiment"] == row["experiment"]), None)
        own, honest = _by_metric(row), _by_metric(twin) if twin else []
        for n, (figures, beside) in enumerate(itertools.zip_longest(own, honest)):
            cells = [row["experiment"] if n == 0 else "", *(_claimed(row, figures) if figures else [""] * 4)]
            cells.append(f"**{_reached(beside)}** {_named(beside)}" if beside else "")
            if n == 0:  # what it is measured on goes for the lines below as well
                cells[1] += f"; {row['protocol']}; {_seeds(row)}"
                cells[-1] += f"; {twin['protocol']}; {_seeds(twin)}" if twin else ""
            escaped = (cell.replace("|", "\\|") for cell in cells)
            lines.append(f"| {' | '.join(escaped)} |")
    machine = saved["machine"]
    made = (
        "± is the 95 % interval of the mean over n runs; a claim `a to b` is the spread of the reference's runs. "
        f"Made by `nnlab reproduce {saved['what']}`, {saved['seconds'] / 60:.0f} minutes of training on "
        f"{saved['date']}: {machine['cores']} cores of {machine['cpu']}, "
        f"Python {machine['python']}, NumPy {machine['packages']['numpy']} ({machine['blas']})."
    )
    return "\n".join([*lines, "", made]) + "\n"


def check_marks(path: Path, what: str) -> None:
    """Refuse a file that is there and has no place for the table.

    Raises:
        NnlabError: it lacks the lines ``<!-- nnlab reproduce WHAT -->`` and ``<!-- end -->``.
    """
    if path.exists():
        _around(path, what)


def write_markdown(path: Path, what: str, text: str) -> None:
    """Write a table to a file, or into one between the lines ``<!-- nnlab reproduce WHAT -->`` and ``<!-- end -->``.

    Raises:
        NnlabError: the file is there and has no such lines.
    """
    before, after = _around(path, what) if path.exists() else ("", "")
    with naming(path):
        path.write_text(f"{before}{text}{after}", encoding="utf-8")


def _around(path: Path, what: str) -> tuple[str, str]:
    """Return what stands before and after the table."""
    begin, end = f"<!-- nnlab reproduce {what} -->\n", "<!-- end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise NnlabError(f"{path} has no lines {begin.strip()} and {end} to put the table between")
    return before + begin, end + after


def _by_metric(row: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return a row's figures by their metrics: those of several epochs stand in one line."""
    return [list(figures) for _, figures in itertools.groupby(row["figures"], key=lambda figure: str(figure["metric"]))]


def _claimed(row: Mapping[str, Any], figures: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = ("metric", "epoch", "judged", "within")
    parsed = [Figure.model_validate({key: each[key] for key in keys} | {"value": each["claimed"]}) for each in figures]
    claims = [figure.claimed or "-" for figure in parsed]
    verdicts = dict.fromkeys(str(each["verdict"]) for each in figures)
    return [
        _named(figures),
        f"{', '.join(claims)} ({row['kind']})" if set(claims) != {"-"} else "",
        _reached(figures),
        ", ".join(verdicts),
    ]


def _seeds(row: Mapping[str, Any]) -> str:
    seeds = row["seeds"]
    is_range = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    listed = f"{seeds[0]} to {seeds[-1]}" if is_range else ", ".join(map(str, seeds))
    return f"seed{'s' if len(seeds) > 1 else ''} {listed}"


def _named(figures: Sequence[Mapping[str, Any]]) -> str:
    epochs = ", ".join(str(each["epoch"]) for each in figures if each["epoch"] is not None)
    metric = str(figures[0]["metric"])
    return f"{metric} at epoch{'s' if len(figures) > 1 else ''} {epochs}" if epochs else metric


def _reached(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return the means with their intervals; for a single one its extremes as well."""
    cells, n, spread = [], 0, ""
    for each in figures:
        of, figure = each["reached"], Figure(metric=each["metric"])
        if of is None:
            cells.append("-")
            continue
        half = 0.0 if of["low"] is None else (of["high"] - of["low"]) / 2
        cells.append(figure.shown(of["mean"]) + (f" ± {figure.shown(half)}" if half else ""))
        n, spread = of["n"], f", {figure.shown(of['min'])} to {figure.shown(of['max'])}" if of["n"] > 1 else ""
    return f"{', '.join(cells)} (n = {n}{spread if len(figures) == 1 else ''})"
