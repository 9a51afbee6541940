"""Reproduce: the verb, from what was asked for to the exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnlab import journal, paths
from nnlab.errors import NnlabError
from nnlab.mirroring import wait_until_mirrored
from nnlab.output import say
from nnlab.reproduction import report, rerun
from nnlab.reproduction.experiments import find, names
from nnlab.reproduction.markdown import markdown, write_markdown
from nnlab.reproduction.session import reproduce_experiments
from nnlab.tracking import store

_WAIT_SECONDS = 120.0


def reproduce(
    what: str,
    *,
    quick: bool = False,
    rtol: float = 1e-5,
    trusted: Collection[str] = (),
    json_file: Path | None = None,
    markdown_file: Path | None = None,
) -> int:
    """Re-earn the figures of experiments, or train a past run again and compare.

    Args:
        what: ``all``, ``own``, an experiment's name or file, a run's directory, or an MLflow run id.
        quick: only cheap experiments.
        rtol: relative tolerance of a past run's losses.
        trusted: targets that a saved file may name though nnlab does not ship them.
        json_file: to write the result to.
        markdown_file: to write the table of experiments to.

    Returns:
        the exit code: 0 if everything is reproduced, else 1.

    Raises:
        NnlabError: there is nothing of the kind, or it can't be trained.
    """
    for option, file in (("--json", json_file), ("--markdown", markdown_file)):
        if file and not file.resolve().parent.is_dir():
            raise NnlabError(f"{option} {file}: there is no such folder")
    is_run = what not in names() and (Path(what).is_dir() or re.fullmatch("[0-9a-f]{32}", what) is not None)
    outputs = paths.outputs_dir()
    if is_run and (quick or markdown_file):
        raise NnlabError("--quick and --markdown are for experiments, not for a past run")
    experiments = [] if is_run else find(what, quick=quick)
    say(f"outputs  {outputs}")
    say(f"store    {store.shown(store.uri(outputs))}")
    if is_run:
        result = rerun.reproduce_run(what, rtol=rtol, trusted=trusted)
        rerun.print_report(result)
        _write(json_file, rerun.to_json(result))
        wait_until_mirrored(bool(result.tracked), result.tracked, result.wait_seconds)
        return result.exit_code
    rows = reproduce_experiments(f"{what}-quick" if quick else what, experiments, say, trusted)
    report.print_rows(rows)
    saved = report.to_json(f"{what} --quick" if quick else what, rows)
    _write(json_file, saved)
    if markdown_file:
        write_markdown(markdown_file, what, markdown(saved))
        say(f"written to {markdown_file.resolve()}")
    tracked = [row.sweep for row in rows if journal.read(row.sweep).run["tracking"]]
    children = [path.parent for sweep in tracked for path in sorted(sweep.glob(f"*/{journal.NAME}"))]
    wait_until_mirrored(bool(tracked), [*tracked, *children], _WAIT_SECONDS)
    return 0 if report.is_reproduced(rows) else 1


def _write(file: Path | None, saved: dict[str, Any]) -> None:
    if file:
        file.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"written to {file.resolve()}")
