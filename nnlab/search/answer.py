"""Answer: what a search comes to, written beside its journal: all trials, the best one, and how sure that is."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.trial import TrialState

from nnlab import findings, index
from nnlab.errors import naming
from nnlab.index import Entry
from nnlab.journal import Journal
from nnlab.output import say
from nnlab.paired_tests import t_interval
from nnlab.search import report, space, telling
from nnlab.search.telling import Result
from nnlab.sweep.plan import Sweep
from nnlab.tracking.limits import MAX_TAG

_SHOWN = 10  # trials on the terminal


def conclude(sweep: Sweep, _found: dict[int, Entry], journal: Journal) -> str | None:
    """Write and journal ``trials.csv`` and ``trials.md``, tag the sweep with its best trial, and print all that.

    Tags: ``nnlab.best_child`` (run id, of the best run of the best trial), ``nnlab.best_child_directory``,
    ``nnlab.best_child_by``, ``nnlab.finding`` (a sentence), ``nnlab.table`` (Markdown).

    Returns:
        why the search failed: no trial is complete.
    """
    search = sweep.search
    assert search is not None  # noqa: S101 - it is a search
    results = [telling.result(sweep, trial) for trial in search.trials]
    ranked = _ranked(results, search.settings.way)
    headings = [*_heading(sweep), "value", "low", "high", "epochs", "reason"]
    rows = [_row(sweep, each) for each in ranked]
    top = [_rounded(row) for row in rows[:_SHOWN]]
    report.print_trials(headings, top, len(rows) - len(top))
    words = _words(sweep, ranked)
    table = _markdown(headings, top)
    for file, text in (("trials.csv", _csv(headings, rows)), ("trials.md", f"{table}\n\n{words}\n")):
        with naming(sweep.directory / file):
            (sweep.directory / file).write_text(text, encoding="utf-8")
        journal.write("artifact", path=file)
    tags = {"nnlab.finding": words[:MAX_TAG], "nnlab.table": table[:MAX_TAG]}
    say(words)
    if ranked[0].state is not TrialState.COMPLETE:
        journal.write("tags", tags=tags)
        return f"no trial is complete: {words}"
    best = telling.directories(sweep, ranked[0].trial)[_best_run(ranked[0], search.settings.way)]
    (entry,) = index.entries([best])
    tags |= {
        "nnlab.best_child": entry.run["run_id"],
        "nnlab.best_child_directory": str(best),
        "nnlab.best_child_by": f"best {search.settings.metric}",
    }
    journal.write("tags", tags=tags)
    return None


def _words(sweep: Sweep, ranked: Sequence[Result]) -> str:
    """Return what the search has found, in a sentence."""
    assert sweep.search is not None  # noqa: S101
    settings, counts = sweep.search.settings, Counter(each.state for each in ranked)
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    ended = ", ".join(f"{counts[state]} {word}" for state, word in names.items() if counts[state])
    trained = sum(each.epochs for each in ranked)
    planned = sum(
        job.job.config.training.epochs for job in sweep.planned if job.job and not job.job.config.training.updates
    )
    share = f" of {planned:,}" if planned > trained else ""
    cost = f"{ended}; {trained:,}{share} epochs trained"
    best = ranked[0]
    if best.state is not TrialState.COMPLETE:
        return cost
    low, high = t_interval(np.array(best.values))
    runs = f" over {len(best.values)} seeds" if len(best.values) > 1 else ""
    interval = f", 95 % interval {low:.4g} to {high:.4g}" if math.isfinite(low) and low < high else ""
    dimensions = space.dimensions(sweep.search.space)
    setting = " ".join(each.text(best.trial.params[each.key]) for each in dimensions)
    what = f"best {settings.metric} {best.value:.4g}{interval}{runs}"
    return (
        f"trial {best.trial.number} is the best: {setting}: {what} (chosen among {len(ranked)}, so it flatters); {cost}"
    )


def _ranked(results: Sequence[Result], way: str) -> list[Result]:
    """Return complete trials first, the best of them first; then those that were pruned, the last to be so first."""
    sign = 1 if way == "minimize" else -1
    order = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]

    def key(each: Result) -> tuple[int, float, int, int]:
        value = sign * each.value if each.state is TrialState.COMPLETE else 0.0
        return order.index(each.state), value, -each.epochs, each.trial.number

    return sorted(results, key=key)


def _heading(sweep: Sweep) -> list[str]:
    assert sweep.search is not None  # noqa: S101
    return ["trial", "state", *(each.key for each in space.dimensions(sweep.search.space))]


def _row(sweep: Sweep, each: Result) -> list[Any]:
    assert sweep.search is not None  # noqa: S101
    params = [dimension.value(each.trial.params[dimension.key]) for dimension in space.dimensions(sweep.search.space)]
    low, high = t_interval(np.array(each.values)) if each.values else (math.nan, math.nan)
    return [each.trial.number, each.state.name, *params, each.value, low, high, each.epochs, each.reason or ""]


def _rounded(row: Sequence[Any]) -> list[str]:
    return ["" if cell != cell else f"{cell:.4g}" if isinstance(cell, float) else findings.text(cell) for cell in row]


def _csv(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([["" if cell != cell else cell for cell in row] for row in rows])
    return text.getvalue()


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _best_run(best: Result, way: str) -> int:
    return best.values.index((max if way == "maximize" else min)(best.values))
