"""Selection: the records that somebody wants to take along, and those that these don't stand without."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.portable import record
from nnlab.portable.record import Record
from nnlab.sweep import frozen, plan_file
from nnlab.tracking import runs

_FOLDERS = ("runs", "sweeps")
_LEVELS = 3  # that a job may lie below its sweep


@dataclass(frozen=True)
class Selection:
    """Attributes.

    records: by the places that they get, seen from an outputs root, in order.
    notes: what somebody should know of what is left out.
    """

    records: dict[str, Record]
    notes: list[str]


def select(what: Sequence[str], outputs: Path) -> Selection:
    """Find what is named: runs, sweeps with all their runs, and the runs elsewhere that sweeps refer to.

    Args:
        what: directories, or ids, MLflow's or nnlab's.
        outputs: the outputs root.

    Raises:
        NnlabError: there is no such run, it has not begun, it is at work, or two would get one place.
    """
    found: dict[str, Record] = {}
    notes: list[str] = []
    for directory in dict.fromkeys(_named(name, outputs) for name in what):
        for taken in _of(directory):
            _add(found, taken, outputs)
            if (taken.directory / plan_file.NAME).exists():
                for other in _referred(taken, outputs, notes):
                    _add(found, other, outputs)
    ids: dict[str, Path] = {}
    for each in found.values():
        if (first := ids.setdefault(each.run_id, each.directory)) != each.directory:
            raise NnlabError(f"{each.directory} is a copy of {first}, as both have one run id: export one of them")
        record.check_at_rest(each.directory)
    return Selection(dict(sorted(found.items())), notes)


def _named(what: str, outputs: Path) -> Path:
    directory = runs.named(what, outputs)
    if directory is None:
        raise NnlabError(f"no run in {outputs} has the id {what}: export takes what has a directory there")
    return directory


def _of(directory: Path) -> list[Record]:
    if not directory.is_dir():
        raise NnlabError(f"{directory} is a file: give the directory of a run or a sweep")
    if record.of(directory) is None:
        has_begun = (directory / plan_file.NAME).exists() or (directory / "config.yaml").exists()
        why = "was stopped before it began: train it anew" if has_begun else "holds no run and no sweep"
        raise NnlabError(f"{directory} {why}")
    return record.below(directory)


def _add(found: dict[str, Record], each: Record, outputs: Path) -> None:
    place = _place(each, outputs)
    if (other := found.setdefault(place, each)).directory != each.directory:
        raise NnlabError(f"{each.directory} and {other.directory} would both be {place}: export them one by one")


def _place(each: Record, outputs: Path) -> str:
    """Return where a record belongs in an outputs root: as in the one that it is in, else by its own name."""
    base = _sweep_of(each)
    if base.is_relative_to(outputs) and base.relative_to(outputs).parts[0] in _FOLDERS:
        return each.directory.relative_to(outputs).as_posix()
    folder = next((above for above in base.parents[:2] if above.name in _FOLDERS), None)
    if folder is not None:
        return each.directory.relative_to(folder.parent).as_posix()
    kind = "runs" if base == each.directory and each.kind == "run" else "sweeps"
    return f"{kind}/{each.directory.relative_to(base.parent).as_posix()}"


def _sweep_of(each: Record) -> Path:
    """Return the directory of the sweep that a run lies in, else its own."""
    parent = each.header.get("parent")
    for folder in each.directory.parents[:_LEVELS] if parent else ():
        above = record.of(folder)
        if above is not None and above.run_id == parent:
            return folder
    return each.directory


def _referred(sweep: Record, outputs: Path, notes: list[str]) -> Iterator[Record]:
    """Yield the finished runs elsewhere that a sweep refers to instead of training them again."""
    for directory in dict.fromkeys(frozen.referred(sweep.directory)):
        other = record.of(directory)
        if other is None:
            notes.append(f"{directory}, which {sweep.directory.name} refers to, is gone: `nnlab resume` trains it anew")
            continue
        here = os.path.relpath(directory, sweep.directory)
        there = os.path.relpath(_place(other, outputs), _place(sweep, outputs))
        if here != there:
            shown = f"{directory}, which {sweep.directory.name} refers to, is in another outputs root"
            notes.append(one_line(f"{shown}: where they are imported, `nnlab resume` trains it anew"))
        yield other
