"""Report: claimed beside reached, as a table on the terminal and as JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from nnlab import environment, paths
from nnlab.hashing import code_version
from nnlab.reproduction.claims import Verdict
from nnlab.reproduction.earning import Earned, Row
from nnlab.terminal import console

_STYLE = {Verdict.BETTER: "bold green", Verdict.REPRODUCED: "green", Verdict.NOT_REPRODUCED: "bold red"}
_PASS = (Verdict.BETTER, Verdict.REPRODUCED, Verdict.REPORTED)


def is_reproduced(rows: Sequence[Row]) -> bool:
    """Say whether every claim is met, and no run failed."""
    return all(not row.failures and all(each.verdict in _PASS for each in row.earned) for row in rows)


def print_rows(rows: Sequence[Row]) -> None:
    """Print a table: a line for each figure, honest ones under those that they stand beside."""
    table = Table()
    table.add_column("experiment", overflow="fold")
    table.add_column("measured", overflow="fold", max_width=40)
    table.add_column("figure", overflow="fold")
    for heading in ("claimed", "reached", "95 % interval", "n", "min to max"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    table.add_column("seconds", justify="right")
    for row in rows:
        if not row.is_honest and table.row_count:
            table.add_section()
        for n, each in enumerate(row.earned):
            of, shown = each.reached, each.figure.shown
            name = "  the honest figure" if row.is_honest else row.experiment.name
            table.add_row(
                *((name, Text(row.protocol.protocol)) if n == 0 else ("", "")),
                Text(each.figure.name),
                each.figure.claimed,
                shown(of.mean) if of else "-",
                f"{shown(of.low)} to {shown(of.high)}" if of and of.low is not None and of.high is not None else "",
                str(len(of.values) if of else 0),
                f"{shown(min(of.values))} to {shown(max(of.values))}" if of and len(of.values) > 1 else "",
                Text(each.verdict, _STYLE.get(each.verdict, "")),
                f"{row.seconds:.1f}" if n == 0 else "",
            )
    out = console()
    out.print(table)
    for row in rows:
        for failure in row.failures:
            out.print(f"{row.experiment.name}: FAILED: {failure}", markup=False, soft_wrap=True)


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


def describe(each: Earned) -> str:
    """Return reached and claimed in words."""
    of, shown = each.reached, each.figure.shown
    what = f"reached {shown(of.mean)}" if of else "reached by no run"
    if of and of.low is not None and of.high is not None:
        what += f" (95 % {shown(of.low)} to {shown(of.high)}, n = {len(of.values)})"
    return f"{what}, claimed {each.figure.claimed}" if each.figure.claimed else what
