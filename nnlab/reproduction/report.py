"""Report: claimed beside reached, as a table on the terminal and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from nnlab import environment, paths
from nnlab.hashing import code_version
from nnlab.reproduction.claims import Verdict
from nnlab.reproduction.earning import Earned, Row
from nnlab.terminal import console

_STYLE = {Verdict.BETTER: "bold green", Verdict.REPRODUCED: "green", Verdict.NOT_REPRODUCED: "bold red"}
_COLUMNS: dict[str, JustifyMethod] = {
    "experiment": "left",
    "measured": "left",
    "figure": "left",
    "claimed": "right",
    "reached": "right",
    "95 % interval": "right",
    "n": "right",
    "min to max": "right",
    "verdict": "left",
    "seconds": "right",
}
_WIDE, _NARROW = 150, ("experiment", "figure", "claimed", "reached", "verdict")
_PASS = (Verdict.BETTER, Verdict.REPRODUCED, Verdict.REPORTED)


def is_reproduced(rows: Sequence[Row]) -> bool:
    """Say whether every claim is met, and no run failed."""
    return all(not row.failures and all(each.verdict in _PASS for each in row.earned) for row in rows)


def print_rows(rows: Sequence[Row]) -> None:
    """Print a table: a line for each figure, honest ones under those that they stand beside.

    A terminal that is too narrow for all columns gets the most important ones.
    """
    out = console()
    shown = {name: justify for name, justify in _COLUMNS.items() if out.width >= _WIDE or name in _NARROW}
    table = Table()
    for heading, justify in shown.items():
        table.add_column(heading, justify=justify, overflow="fold", max_width=40 if heading == "measured" else None)
    for row in rows:
        if not row.is_honest and table.row_count:
            table.add_section()
        for n, each in enumerate(row.earned):
            cells = _cells(row, each, is_first=n == 0)
            table.add_row(*(cells[name] for name in shown))
    out.print(table)
    for row in rows:
        for failure in row.failures:
            out.print(f"{row.experiment.name}: FAILED: {failure}", markup=False, soft_wrap=True)


def _cells(row: Row, each: Earned, *, is_first: bool) -> dict[str, Text]:
    of, shown = each.reached, each.figure.shown
    name = "  the honest figure" if row.is_honest else row.experiment.name
    interval = f"{shown(of.low)} to {shown(of.high)}" if of and of.low is not None and of.high is not None else ""
    texts = {
        "experiment": name if is_first else "",
        "measured": row.protocol.protocol if is_first else "",
        "figure": each.figure.name,
        "claimed": each.figure.claimed,
        "reached": shown(of.mean) if of else "-",
        "95 % interval": interval,
        "n": str(len(of.values) if of else 0),
        "min to max": f"{shown(min(of.values))} to {shown(max(of.values))}" if of and len(of.values) > 1 else "",
        "seconds": f"{row.seconds:.1f}" if is_first else "",
    }
    verdict = Text(each.verdict, _STYLE.get(each.verdict, ""))
    return {**{name: Text(text) for name, text in texts.items()}, "verdict": verdict}


def to_json(what: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return everything as JSON values; directories are relative to the outputs root."""
    facts = environment.facts()
    return {
        "what": what,
        "reproduced": is_reproduced(rows),
        "date": time.strftime("%Y-%m-%d"),
        "code_version": code_version(),
        "machine": {key: facts[key] for key in ("cpu", "cores", "python", "packages", "blas")},
        "seconds": round(sum(row.seconds for row in rows), 1),
        "rows": [_row_json(row) for row in rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    claim = row.experiment.claim
    return {
        "experiment": row.experiment.name,
        "system": claim.system,
        "kind": claim.kind,
        "honest": row.is_honest,
        "protocol": row.protocol.protocol,
        "seeds": row.protocol.seeds,
        "seconds": round(row.seconds, 1),
        "sweep": row.sweep.relative_to(paths.outputs_dir()).as_posix(),
        "failures": row.failures,
        "figures": [_figure_json(each) for each in row.earned],
    }


def _figure_json(each: Earned) -> dict[str, Any]:
    of = each.reached
    spread = None if of is None else {"min": min(of.values), "max": max(of.values), "values": list(of.values)}
    return {
        "metric": each.figure.metric,
        "epoch": each.figure.epoch,
        "claimed": each.figure.value,
        "judged": each.figure.judged,
        "within": each.figure.within,
        "reached": None
        if of is None
        else {"mean": of.mean, "low": of.low, "high": of.high, "n": len(of.values), **(spread or {})},
        "verdict": str(each.verdict),
    }
