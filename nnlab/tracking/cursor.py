"""Cursor: how far a run's journal has been mirrored into a store; a file in the run's directory.

It only spares work. What it says has been committed by the store before it was written, so a lost or an old one makes
the tracker send again what is there already, which changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nnlab import journal, locks

DELETED = "DELETED"


@dataclass
class Cursor:
    """Attributes.

    offset: bytes of the journal that are mirrored.
    mlflow_run_id: of the mirrored run; None before it is created.
    status: that the store has; DELETED if somebody deleted the run there, who will not want it back.
    problem: why the rest can't be mirrored, where trying again doesn't help.
    """

    offset: int = 0
    mlflow_run_id: str | None = None
    status: str = "RUNNING"
    problem: str | None = None


def _path(directory: Path, store_key: str) -> Path:
    return directory / f".mlflow-{store_key}.json"


def read(directory: Path, store_key: str) -> Cursor:
    """Return the cursor of a run in a store; a fresh one if there is none, or none that can be read."""
    try:
        cursor = Cursor(**json.loads(_path(directory, store_key).read_bytes()))
        is_ours = isinstance(cursor.mlflow_run_id, str) and _is_line_end(directory / journal.NAME, cursor.offset)
    except (FileNotFoundError, ValueError, TypeError):
        return Cursor()
    return cursor if is_ours else Cursor(problem=cursor.problem)


def write(directory: Path, store_key: str, cursor: Cursor) -> None:
    """Replace the cursor atomically."""
    path = _path(directory, store_key)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(cursor)))
    temporary.replace(path)


def is_mirrored(directory: Path, store_key: str) -> bool:
    """Say whether a run is closed or dead, and the store has all of it."""
    path = directory / journal.NAME
    cursor = read(directory, store_key)
    if cursor.status == "RUNNING" or not path.exists() or locks.is_locked(path):
        return False
    return cursor.offset >= journal.whole_lines(path)


def is_settled(directory: Path, store_key: str) -> bool:
    """Say whether there is nothing to wait for: a run is mirrored, or can't be."""
    return read(directory, store_key).problem is not None or is_mirrored(directory, store_key)


def give_up(directory: Path, store_key: str, problem: str) -> None:
    """Note why a run can't be mirrored."""
    write(directory, store_key, replace(read(directory, store_key), problem=problem))


def _is_line_end(path: Path, offset: int) -> bool:
    if offset <= 0:
        return offset == 0
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"
