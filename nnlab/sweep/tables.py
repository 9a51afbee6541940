"""Tables of a sweep on the terminal: its plan before it begins, its jobs when it has ended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from nnlab.index import Entry
from nnlab.sweep.plan import Planned
from nnlab.terminal import console

_MOST_ROWS = 40  # of more jobs only those that failed are shown
_STYLES = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow", "RUNNING": "cyan"}
_NO_RECORD = "it ended before its record began; see its train.log"


def print_plan(planned: Sequence[Planned]) -> None:
    """Say how many jobs there are, which stand already and which can't run, before the first one trains."""
    standing = sum(job.stands is not None for job in planned)
    stand = f", {standing} of them finished before; to train: {sum(job.is_to_train for job in planned)}"
    _say(f"jobs     {len(planned)}{stand if standing else ''}")
    _failures([(job, job.problem) for job in planned if job.problem is not None], "can't run")


def print_jobs(planned: Sequence[Planned], entries: Mapping[int, Entry]) -> None:
    """Print the jobs of a sweep with how they ended; of more than 40 only those that did not finish, and how many.

    Args:
        planned: its jobs.
        entries: number of a job -> its run, of those that have a record.
    """
    if len(planned) <= _MOST_ROWS:
        console().print(_table(planned, entries))
        return
    ends = {job.number: _end(job, entries) for job in planned}
    counts = Counter(status for status, _ in ends.values())
    _failures([(job, ends[job.number][1]) for job in planned if ends[job.number][0] == "FAILED"], "FAILED")
    _say("jobs     " + ", ".join(f"{count} {status}" for status, count in counts.items()))


def _table(planned: Sequence[Planned], entries: Mapping[int, Entry]) -> Table:
    table = Table()
    for heading in ("job", "swept", "status", "val accuracy", "test accuracy", "seconds", "reason"):
        numeric = heading in ("job", "val accuracy", "test accuracy", "seconds")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for job, cells in ((job, _cells(job, entries)) for job in planned):
        table.add_row(str(job.number), escape(job.name), *cells)
    if not any(table.columns[-1].cells):
        table.columns.pop()
    return table


def _cells(job: Planned, entries: Mapping[int, Entry]) -> Iterator[str]:
    status, reason = _end(job, entries)
    entry = entries.get(job.number)
    yield f"[{_STYLES[status]}]{status}[/]"
    for split in ("val", "test"):
        yield _number(entry.metrics.get(f"final/{split}_accuracy", math.nan) if entry else math.nan, ".4f")
    yield _number((entry.ended - entry.started) / 1000 if entry and entry.started else math.nan, ".1f")
    yield escape(f"as {job.stands.parent.name}/{job.stands.name}" if job.stands else reason or "")


def _end(job: Planned, entries: Mapping[int, Entry]) -> tuple[str, str | None]:
    """Return a job's status, and why it is not another one."""
    if job.problem is not None:
        return "FAILED", job.problem
    if job.number not in entries:
        return "FAILED", _NO_RECORD
    return entries[job.number].status, entries[job.number].reason


def _failures(jobs: Sequence[tuple[Planned, str | None]], what: str) -> None:
    for job, reason in jobs[:_MOST_ROWS]:
        console().print(f"[red]job {job.number}[/red]", end=" ")
        _say(f"({job.name}) {what}: {reason}")
    if len(jobs) > _MOST_ROWS:
        _say(f"... and {len(jobs) - _MOST_ROWS} more {what}")


def _say(line: str) -> None:
    console().print(line, markup=False, soft_wrap=True)


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
