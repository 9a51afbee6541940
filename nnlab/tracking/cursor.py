"""Cursor: how far a run's journal has been mirrored into a store; a file in the run's directory.

It only spares work. What it says has been committed by the store before it was written, so a lost or an old one makes
the tracker send again what is there already, which changes nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from nnlab import journal, locks


@dataclass
class Cursor:
    """Attributes.

    offset: bytes of the journal that are mirrored.
    mlflow_run_id: of the mirrored run; None before it is created.
    status: that the store has.
    """

    offset: int = 0
    mlflow_run_id: str | None = None
    status: str = "RUNNING"


def _path(directory: Path, store_key: str) -> Path:
    return directory / f".mlflow-{store_key}.json"


def read(directory: Path, store_key: str) -> Cursor:
    """Return the cursor of a run in a store; a fresh one if there is none, or none that can be read."""
    try:
        return Cursor(**json.loads(_path(directory, store_key).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return Cursor()


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
    return cursor.offset >= whole_lines(path)


def whole_lines(path: Path) -> int:
    """Return the size of a file up to the end of its last whole line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
