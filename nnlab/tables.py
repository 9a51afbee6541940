"""Tables: a comparison on the terminal, and as text in other forms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from nnlab import findings
from nnlab.one_line import one_line
from nnlab.terminal import console

if TYPE_CHECKING:
    import pandas as pd


def print_comparison(result: pd.DataFrame) -> None:
    """Print what ``compare`` gave: settings, tests, and what they come to."""
    out = console()
    # Not the tables' titles, which would wrap where a table is narrow.
    out.print(f"{escape(one_line(result.attrs['metric']))}: mean over seeds, best setting first", soft_wrap=True)
    out.print(_on_terminal(*_settings(result), left=len(result.attrs["settings"])))
    if any(test["p"] is not None for test in result.attrs["tests"]):
        out.print("paired t tests on shared seeds, p-values corrected by Holm's method:", soft_wrap=True)
        out.print(_on_terminal(*_tests(result), left=1))
    for line in (findings.words(result), *notes(result)):
        out.print(one_line(line), markup=False, soft_wrap=True)


def as_text(result: pd.DataFrame, form: str) -> str:
    """Return what ``compare`` gave as text for other programs and for papers.

    Args:
        result: the comparison.
        form: ``csv`` has a row a setting and all digits; ``json`` is a list of the same rows, each with the metric's
            name and the setting's tests against those that come after it; ``markdown`` and ``latex`` (for the package
            booktabs) are tables of rounded numbers.

    Raises:
        KeyError: it is none of these.
    """
    return _FORMS[form](result)


def notes(result: pd.DataFrame) -> list[str]:
    """Return what a reader of a comparison should know beside it, a line each."""
    running = result.attrs["running"]
    return [*result.attrs["notes"], *([f"left out: {running} still running"] if running else [])]


def _settings(result: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the settings' table."""
    keys, failed = result.attrs["settings"], ["failed"] if (result["failed"] > 0).any() else []
    decimals, rows = _decimals(result), []
    for row in result.to_dict("records"):
        mean, *spread = (_number(row[name], decimals) for name in ("mean", "std", "best", "worst"))
        cells = [*(one_line(findings.text(row[key])) for key in keys), mean, _interval(row, decimals), *spread]
        rows.append([*cells, str(row["n"]), *(str(row[name]) for name in failed)])
    return [*map(one_line, keys), "mean", "95 % interval", "std", "best", "worst", "seeds", *failed], rows


def _tests(result: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of the tests' table."""
    decimals, rows = _decimals(result), []
    for test in result.attrs["tests"]:
        if test["p"] is not None:
            difference = [_number(test["difference"], decimals), _interval(test, decimals), str(test["n"])]
            rows.append(
                [one_line(f"{test['a']} - {test['b']}"), *difference, f"{test['p']:.2g}", f"{test['p_holm']:.2g}"]
            )
    return ["pair", "difference", "95 % interval", "seeds", "p", "p corrected"], rows


def _on_terminal(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> Table:
    table = Table()
    for at, heading in enumerate(headings):
        style = "red" if heading == "failed" else None
        table.add_column(heading, justify="left" if at < left else "right", style=style, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def _csv(result: pd.DataFrame) -> str:
    shown = result.map(lambda value: one_line(value) if isinstance(value, str) else value).rename(columns=one_line)
    return shown.to_csv(index=False, lineterminator="\n").rstrip("\n")


def _json(result: pd.DataFrame) -> str:
    rows = result.astype(object).where(result.notna(), None).to_dict("records")
    for row, label in zip(rows, result.attrs["labels"], strict=True):
        row["metric"] = result.attrs["metric"]
        row["tests"] = [test for test in result.attrs["tests"] if test["a"] == label]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _markdown(result: pd.DataFrame) -> str:
    headings, rows = _settings(result)
    left = len(result.attrs["settings"])
    rule = ["---" if at < left else "---:" for at in range(len(headings))]
    lines = [headings, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _latex(result: pd.DataFrame) -> str:
    headings, rows = _settings(result)
    left = len(result.attrs["settings"])
    head, *body = (" & ".join(map(_latex_escaped, line)) + r" \\" for line in (headings, *rows))
    columns = "l" * left + "r" * (len(headings) - left)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


_FORMS: dict[str, Callable[[pd.DataFrame], str]] = {
    "csv": _csv,
    "json": _json,
    "markdown": _markdown,
    "latex": _latex,
}

_LATEX: dict[str, str | int | None] = {
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _latex_escaped(text: str) -> str:
    return text.translate(str.maketrans(_LATEX))


def _interval(row: Mapping[Any, Any], decimals: int) -> str:
    return f"{_number(row['low'], decimals)} to {_number(row['high'], decimals)}" if row["n"] > 1 else ""


def _decimals(result: pd.DataFrame) -> int:
    """Return how many decimals to show: four of an accuracy, of other metrics those that give four figures."""
    largest = float(result["mean"].abs().max())
    if result.attrs["metric"].endswith("accuracy") or not 0 < largest < math.inf:
        return 4
    return min(12, max(0, 3 - math.floor(math.log10(largest))))


def _number(value: float, decimals: int = 4) -> str:
    return "" if math.isnan(value) else f"{value:.{decimals}f}"
