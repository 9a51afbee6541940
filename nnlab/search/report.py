"""Report: what a search says on the terminal."""

from __future__ import annotations

from typing import Literal

import optuna
from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import URL

from nnlab.output import say
from nnlab.search import space
from nnlab.search.storage import shown
from nnlab.sweep.plan import Sweep
from nnlab.terminal import console

_STYLES = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}


def say_plan(sweep: Sweep, study: optuna.Study, url: URL) -> None:
    """Say what is going to be searched, and how."""
    search = sweep.search
    assert search is not None  # noqa: S101 - it is a search
    settings = search.settings
    known = len(study.get_trials(deepcopy=False))
    before = f", which has {known} trials" if known else ""
    runs = f" of {settings.seeds} seeds" if settings.seeds > 1 else ""
    verb = "least" if settings.way == "minimize" else "largest"
    say(f"study    {study.study_name} in {shown(url)}{before}")
    say(f"space    {' '.join(each.override for each in space.dimensions(search.space))}")
    say(
        f"trials   {settings.n_trials}{runs}, {settings.batch} at once; sampler {settings.sampler} (seed "
        f"{settings.sampler_seed}), pruner {settings.pruner}; sought: the {verb} best {settings.metric}"
    )


def print_trials(headings: list[str], rows: list[list[str]], left_out: int) -> None:
    """Print the best trials.

    Args:
        headings: of the columns: number, state, what was searched, value, ...
        rows: their cells.
        left_out: how many trials more there are.
    """
    table, used = Table(), [at for at in range(len(headings)) if any(row[at] for row in rows)]
    for at in used:
        justify: Literal["left", "right"] = "right" if any(_is_number(row[at]) for row in rows) else "left"
        table.add_column(escape(headings[at]), justify=justify, overflow="fold")
    for row in rows:
        state = f"[{_STYLES[row[1]]}]{row[1]}[/]"
        cells = [row[0], state, *map(escape, row[2:])]
        table.add_row(*(cells[at] for at in used))
    console().print(table)
    if left_out:
        say(f"... and {left_out} more trials: trials.csv")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
