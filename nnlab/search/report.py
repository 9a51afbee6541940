"""Report: what a search says on the terminal."""

from __future__ import annotations

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
    table = Table()
    for heading in headings:
        is_text = heading in ("state", "reason") or not any(_is_number(row[headings.index(heading)]) for row in rows)
        table.add_column(escape(heading), justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        style = _STYLES.get(row[1], "")
        table.add_row(row[0], f"[{style}]{row[1]}[/]" if style else row[1], *map(escape, row[2:]))
    console().print(table)
    if left_out:
        say(f"... and {left_out} more trials: trials.csv")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
