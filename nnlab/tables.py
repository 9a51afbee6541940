"""Tables on the terminal: a sweep's plan, its jobs, a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.terminal import console

if TYPE_CHECKING:
    import pandas as pd

    from nnlab.sweep.plan import Planned

_STATUS_STYLE = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow", "RUNNING": "cyan"}


def print_plan(planned: Sequence[Planned]) -> None:
    """Say how many jobs there are, and which can't run, before the first one trains."""
    out = console()
    out.print(f"jobs     {len(planned)}")
    for job in planned:
        if job.problem is not None:
            out.print(f"[red]job {job.number} ({job.name}) can't run:[/red] ", end="", soft_wrap=True)
            out.print(job.problem, markup=False, soft_wrap=True)


def print_jobs(planned: Sequence[Planned]) -> None:
    """Print every job of a sweep with its outcome."""
    table = Table()
    for heading in ("job", "swept", "status", "val accuracy", "test accuracy", "seconds", "reason"):
        numeric = heading in ("job", "val accuracy", "test accuracy", "seconds")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    has_reason = False
    for job in planned:
        status, reason, metrics, seconds = "FAILED", job.problem, {}, math.nan
        if job.job is not None:
            try:
                record = journal.read(job.job.directory)
            except NnlabError:
                reason = "it ended before its journal began; see its train.log"
            else:
                status, reason, metrics = record.status, record.reason, record.metrics
                seconds = (record.ended - record.run["timestamp"]) / 1000 if record.run else math.nan
        has_reason = has_reason or bool(reason)
        accuracies = [_number(metrics.get(f"final/{split}_accuracy", math.nan)) for split in ("val", "test")]
        styled = f"[{_STATUS_STYLE[status]}]{status}[/]"
        table.add_row(str(job.number), job.name, styled, *accuracies, _number(seconds, ".1f"), reason or "")
    if not has_reason:
        table.columns.pop()
    console().print(table)


def print_comparison(result: pd.DataFrame) -> None:
    """Print what ``compare`` gave."""
    metric = result.attrs["metric"]
    settings = list(result.columns[: list(result.columns).index("mean")])
    table = Table()
    for name in settings:
        table.add_column(name)
    for heading in ("mean", "std", "worst to best" if "loss" not in metric else "best to worst", "n"):
        table.add_column(heading, justify="right")
    has_failed = bool((result["failed"] > 0).any())
    if has_failed:
        table.add_column("failed", justify="right", style="red")
    for _, row in result.iterrows():
        spread = f"{_number(row['min'])} to {_number(row['max'])}" if row["n"] else ""
        cells = [*(_text(row[name]) for name in settings), _number(row["mean"]), _number(row["std"]), spread]
        table.add_row(*cells, str(int(row["n"])), *([str(int(row["failed"]))] if has_failed else []))
    out = console()
    out.print(f"{metric}: mean over seeds, best setting first", soft_wrap=True)  # a title would wrap at a narrow table
    out.print(table)


def _number(value: float, form: str = ".4f") -> str:
    return "" if math.isnan(value) else format(value, form)


def _text(value: Any) -> str:
    return "null" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
