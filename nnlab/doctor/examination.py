"""Examination: every check is made, and each gives lines of its own, whatever becomes of the others."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from nnlab import paths
from nnlab.doctor import checkpoints, disk, leftovers, places, records, stores, threads, versions
from nnlab.doctor.remark import Remark, trouble
from nnlab.errors import NnlabError
from nnlab.one_line import one_line

Check = Callable[[Path], Iterator[Remark]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("versions", versions.python),
    ("versions", versions.packages),
    ("threads", threads.blas),
    ("threads", threads.variables),
    ("threads", threads.quota),
    ("outputs", places.outputs),
    ("data", places.data),
    ("disk", disk.space),
    ("store", stores.reachable),
    ("store", stores.schema),
    ("store", stores.artifacts),
    ("runs", records.histories),
    ("mirror", records.mirrored),
    ("mirror", records.orphans),
    ("checkpoints", checkpoints.seals),
    ("tracker", leftovers.trackers),
    ("leftovers", leftovers.files),
)
"""What each is about, in a word, and the check: it takes the outputs root, and changes nothing."""

_WIDTH = 11  # of the subjects' column


def examine(outputs: Path | None = None) -> list[Remark]:
    """Make every check.

    Args:
        outputs: the outputs root; by default the one that the environment says.

    Returns:
        what there is to say, in order and once; a check that can't be made is a trouble itself.
    """
    if outputs is None:
        try:
            outputs = paths.outputs_dir()
        except NnlabError as error:
            return [trouble("outputs", str(error))]
        except OSError as error:  # the current directory is gone
            return [trouble("outputs", str(error), "set NNLAB_OUTPUTS to a folder")]
    records.glances.cache_clear()
    said: dict[str, Remark] = {}
    for subject, check in CHECKS:
        for remark in _made(subject, check, outputs):
            said.setdefault(remark.text, remark)
    return list(said.values())


def _made(subject: str, check: Check, outputs: Path) -> list[Remark]:
    remarks: list[Remark] = []
    try:
        remarks.extend(check(outputs))
    except NnlabError as error:
        remarks.append(trouble(subject, str(error)))
    except (OSError, sqlite3.Error) as error:
        name, problem = getattr(error, "filename", None), getattr(error, "strerror", None) or error
        remarks.append(trouble(subject, f"{name or outputs} can't be read: {problem}"))
    except Exception as error:  # whatever is there that nobody thought of, the other checks are still made
        remarks.append(trouble(subject, f"this could not be looked at: {type(error).__name__}: {error}"))
    return remarks


def doctor(report: Callable[[str], None]) -> int:
    """Say what was found, a line each; return the exit code, 0 if all is well and 1 otherwise.

    Args:
        report: takes a line.
    """
    remarks = examine()
    marks = ("✓", "✗") if sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower() else ("ok", "WRONG")
    width = max(map(len, marks))
    for remark in remarks:
        what = f"{remark.text}; {remark.remedy}" if remark.remedy else remark.text
        report(f"{marks[not remark.is_fine]:{width}}  {remark.subject:{_WIDTH}} {one_line(what)}")
    troubles = sum(not remark.is_fine for remark in remarks)
    report("all is well" if not troubles else f"{troubles} thing{'s' if troubles > 1 else ''} to mend")
    return 1 if troubles else 0
