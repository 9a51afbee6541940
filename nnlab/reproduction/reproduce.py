"""Reproduce: the verb, from what was asked for to the exit code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnlab import journal
from nnlab.errors import NnlabError, naming
from nnlab.mirroring import say_where, wait_until_mirrored
from nnlab.output import say
from nnlab.reproduction import report, rerun
from nnlab.reproduction.experiments import find, names
from nnlab.reproduction.markdown import check_marks, markdown, write_markdown
from nnlab.reproduction.session import Session

_WAIT_SECONDS = 120.0


def reproduce(
    what: str,
    *,
    quick: bool = False,
    rtol: float | None = None,
    trusted: Collection[str] = (),
    json_file: Path | None = None,
    markdown_file: Path | None = None,
) -> int:
    """Re-earn the figures of experiments, or train a past run again and compare.

    Args:
        what: ``all``, ``own``, an experiment's name or file, a run's directory, or an MLflow run id.
        quick: only cheap experiments.
        rtol: relative tolerance of a past run's losses, 1e-5 if it is not given.
        trusted: targets that a saved file may name though nnlab does not ship them.
        json_file: to write the result to.
        markdown_file: to write the table of experiments to.

    Returns:
        the exit code: 0 if everything is reproduced, else 1.

    Raises:
        NnlabError: there is nothing of the kind, or it can't be trained.
    """
    is_run = what not in names() and (Path(what).is_dir() or re.fullmatch("[0-9a-f]{32}", what) is not None)
    if is_run and (quick or markdown_file):
        raise NnlabError("--quick and --markdown are for experiments, not for a past run")
    if not is_run and rtol is not None:
        raise NnlabError("--rtol is for a past run; an experiment's claim says itself how it is judged")
    if trusted and what in names():
        raise NnlabError("--trust is for files of somebody else's; nnlab's own experiments need none")
    asked = f"{what} --quick" if quick else what
    for option, file in (("--json", json_file), ("--markdown", markdown_file)):
        _check_writable(option, file)
    if markdown_file:
        check_marks(markdown_file, asked)
    if is_run:
        return _past_run(what, 1e-5 if rtol is None else rtol, trusted, json_file)
    session = Session(f"{what}-quick" if quick else what, find(what, quick=quick), trusted)
    say_where()
    rows = session.earn(say)
    saved = report.to_json(asked, rows)
    _write(json_file, saved)
    if markdown_file:
        write_markdown(markdown_file, asked, markdown(saved))
        say(f"written to {markdown_file.resolve()}")
    session.finish()
    report.print_rows(rows)
    tracked = [row.sweep for row in rows if journal.read(row.sweep).run["tracking"]]
    children = [path.parent for sweep in tracked for path in sorted(sweep.glob(f"*/{journal.NAME}"))]
    wait_until_mirrored(bool(tracked), [*tracked, *children], _WAIT_SECONDS)
    return 0 if report.is_reproduced(rows) else 1


def _past_run(what: str, rtol: float, trusted: Collection[str], json_file: Path | None) -> int:
    say_where()
    result = rerun.reproduce_run(what, rtol=rtol, trusted=trusted)
    _write(json_file, rerun.to_json(result))
    rerun.print_report(result)
    wait_until_mirrored(bool(result.tracked), result.tracked, result.wait_seconds)
    return result.exit_code


def _check_writable(option: str, file: Path | None) -> None:
    """Refuse a file that can't be written before anything is trained for it."""
    if file is None:
        return
    folder = file.resolve().parent
    if not folder.is_dir():
        raise NnlabError(f"{option} {file}: there is no such folder")
    if file.is_dir():
        raise NnlabError(f"{option} {file}: it is a folder; name a file")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise NnlabError(f"{option} {file}: it can't be written")


def _write(file: Path | None, saved: dict[str, Any]) -> None:
    if file:
        with naming(file):
            file.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"written to {file.resolve()}")
