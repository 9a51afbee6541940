"""Cursor: how far a run's journal has been mirrored into a store; a file in the run's directory.

It only spares work. What it says has been committed by the store before it was written, so a lost or an old one makes
the tracker send again what is there already, which changes nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nnlab import journal, locks
from nnlab.errors import naming

DELETED = "DELETED"


@dataclass
class Cursor:
    """Attributes.

    offset: bytes of the journal that are mirrored.
    mlflow_run_id: of the mirrored run; None before it is created.
    status: that the store has; DELETED if somebody deleted the run there, who will not want it back.
    problem: why the rest can't be mirrored, where trying again doesn't help.
    is_doubtful: a server has failed meanwhile: it may lack what it has acknowledged, or have the run twice.
    attempt: that the run has been claimed for in the store; see ``nnlab.attempt``.
    is_elsewhere: this is a copy; where the run was trained there is a tracker that mirrors it.
    """

    offset: int = 0
    mlflow_run_id: str | None = None
    status: str = "RUNNING"
    problem: str | None = None
    is_doubtful: bool = False
    attempt: str | None = None
    is_elsewhere: bool = False


def _path(directory: Path, store_key: str) -> Path:
    return directory / f".mlflow-{store_key}.json"


def read(directory: Path, store_key: str) -> Cursor:
    """Return the cursor of a run in a store; a fresh one if there is none, or none that can be read."""
    cursor = _load(directory, store_key)
    try:
        is_ours = isinstance(cursor.mlflow_run_id, str) and _is_line_end(directory / journal.NAME, cursor.offset)
    except (FileNotFoundError, TypeError):
        return Cursor()
    if is_ours:
        return cursor
    return Cursor(problem=cursor.problem, is_doubtful=cursor.is_doubtful, is_elsewhere=cursor.is_elsewhere)


def write(directory: Path, store_key: str, cursor: Cursor) -> None:
    """Replace the cursor atomically."""
    path = _path(directory, store_key)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with naming(temporary):
        node = asdict(cursor)
        temporary.write_text(json.dumps(node | {"check": _checksum(node)}))
    temporary.replace(path)


def is_mirrored(directory: Path, store_key: str) -> bool:
    """Say whether a run is closed or dead, and the store has all of it."""
    return _is_whole(directory, _load(directory, store_key))


def settled(directory: Path, store_key: str) -> tuple[bool, object]:
    """Say whether there is nothing to wait for, as a run is mirrored or can't be; else how far it is by now.

    It is cheap for a run that is not: of a thousand, those who wait for them ask after each again and again.
    """
    cursor = _load(directory, store_key)
    return cursor.problem is not None or _is_whole(directory, cursor), (cursor.mlflow_run_id, cursor.offset)


def give_up(directory: Path, store_key: str, problem: str) -> None:
    """Note why a run can't be mirrored."""
    write(directory, store_key, replace(read(directory, store_key), problem=problem))


def _load(directory: Path, store_key: str) -> Cursor:
    try:
        node = json.loads(_path(directory, store_key).read_bytes())
        if node.pop("check", None) not in (None, _checksum(node)):  # None: of an older nnlab
            return Cursor()
        return Cursor(**node)
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return Cursor()


def _checksum(node: dict[str, object]) -> int:
    return zlib.crc32(json.dumps(node, sort_keys=True).encode())


def _is_whole(directory: Path, cursor: Cursor) -> bool:
    path = directory / journal.NAME
    if cursor.status == "RUNNING" or not isinstance(cursor.mlflow_run_id, str):
        return False
    return path.exists() and not locks.is_locked(path) and cursor.offset == journal.whole_lines(path)


def _is_line_end(path: Path, offset: int) -> bool:
    if offset <= 0:
        return offset == 0
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"
