"""Index: what a comparison needs of each run, kept in one file so that thousands of journals needn't be read again.

The file, ``index.db`` in the outputs root, is a cache: a row is believed as long as size and time of change of the
journal are those that it was made from. Whoever deletes it loses nothing, and where it can't be read or written (it is
damaged, another process has it locked, the disk is full or read-only) the journals are read instead. Each row has a
checksum, for sqlite has none: a flipped bit would be somebody's accuracy.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab import journal, journal_lines, locks, paths
from nnlab.errors import NnlabError
from nnlab.journal import Event, Status

NAME = "index.db"

_VERSION = 2  # of what a row holds; another one's rows are thrown away
_COLUMNS = "directory, size, changed, entry, checksum"
_AT_ONCE = 500  # rows asked for in one query; sqlite takes at most 999 variables
_WAIT_SECONDS = 2.0  # for another process's lock
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # ERROR: of its schema

_Key = tuple[int, int]  # size in bytes and time of change in ns of a journal
_Rows = dict[str, tuple[_Key, dict[str, Any]]]  # directory -> what its entry was made from, and its fields


@dataclass(frozen=True)
class Entry:
    """A run in short.

    Attributes:
        directory: of the run.
        run: the fields of its journal's ``run`` line; empty if there is none yet.
        params: name -> value.
        metrics: the last value of each, without those of single updates.
        tags: those that it began with, and those that were added.
        status: RUNNING while a process writes the journal; KILLED if it died without a word.
        reason: of FAILED or KILLED.
        started: timestamp of the ``run`` line, ms; 0 if there is none.
        ended: timestamp of the status, of the last line while there is none, ms.
        torn: what there is to say of a torn tail of its journal; None if it has none, or is being written.
    """

    directory: Path
    run: Event
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    status: Status
    reason: str | None
    started: int
    ended: int
    torn: str | None = None


def entries(directories: Sequence[Path]) -> list[Entry]:
    """Return an entry for each of some runs, in their order.

    Args:
        directories: of the runs.

    Raises:
        NnlabError: a directory holds no run, or its journal is damaged.
    """
    found, problems = readable(directories)
    if problems:
        raise problems[0]
    return found


def readable(directories: Sequence[Path]) -> tuple[list[Entry], list[NnlabError]]:
    """Return the same of those runs that can be read, and what is wrong with each of the others."""
    wanted = [os.path.abspath(directory) for directory in directories]  # noqa: PTH100 - thousands of them
    outputs = paths.outputs_dir()
    with _opened(outputs) as cache:
        known = _known(cache, outputs / NAME, wanted) if cache else {}
        read: _Rows = {}
        found, problems = [], []
        for name in wanted:
            try:
                found.append(_entry(Path(name), known, read))
            except NnlabError as error:
                problems.append(error)
        if cache and read:
            _keep(cache, outputs / NAME, read)
    return found, problems


def _entry(directory: Path, known: _Rows, read: _Rows) -> Entry:
    """Return a run's entry from what is known of it, else from its journal, which is then noted in ``read``."""
    path = directory / journal.NAME
    key, fields = known.get(str(directory), (None, None))
    is_closed = fields is not None and fields["status"] != "RUNNING"
    # Asked before anything is read: a run that closes while we read has then a status.
    is_alive = not is_closed and locks.is_locked(path)
    now = _key(path)
    if fields is None or key != now:
        is_alive = is_alive or (is_closed and locks.is_locked(path))  # a closed run has been gone on with
        fields = _fields(directory)
        read[str(directory)] = now, fields
    if is_alive:
        fields = {**fields, "torn": None}
    elif fields["status"] == "RUNNING":
        fields = {**fields, "status": "KILLED", "reason": journal.DIED}
    return Entry(directory, **fields)


def _key(path: Path) -> _Key:
    try:
        state = path.stat()
    except OSError as error:
        raise NnlabError(f"{path.parent} holds no run: there is no {journal.NAME} in it") from error
    return state.st_size, state.st_mtime_ns


def _fields(directory: Path) -> dict[str, Any]:
    """Read a journal; one without a status is RUNNING here, whoever holds its lock."""
    record = journal.Record(directory)
    try:
        for event, _ in journal.read_events(directory / journal.NAME):
            record.add(event)
        fields = {
            "run": record.run,
            "params": record.params,
            "metrics": record.metrics,
            "tags": {**record.run.get("tags", {}), **record.tags},
            "status": record.status,
            "reason": record.reason,
            "started": record.run.get("timestamp", 0),
            "ended": record.ended,
            "torn": journal_lines.tail(directory / journal.NAME),
        }
    except (TypeError, ValueError, AttributeError):
        fields = {}
    if not _is_whole(fields):  # somebody else's, or edited
        raise NnlabError(f"{directory / journal.NAME} is damaged: a line holds what no journal of ours has there")
    return fields


@contextmanager
def _opened(outputs: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the index of an outputs root, None where that can't be done."""
    cache = None
    if outputs.is_dir():
        with _forgiven(outputs / NAME):
            cache = _connect(outputs / NAME)
    if cache is None:
        yield None
        return
    with closing(cache):
        yield cache


@contextmanager
def _forgiven(path: Path) -> Iterator[None]:
    """Let sqlite's errors pass; a damaged index is deleted, and made anew by the next who needs it."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the other bits say more of it
        if code in _DAMAGED or isinstance(error, UnicodeDecodeError):
            for doomed in (path.with_name(f"{path.name}-journal"), path):
                with suppress(OSError):
                    doomed.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    cache = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    try:
        (version,) = cache.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            with cache:
                cache.execute("BEGIN IMMEDIATE")
                cache.execute("DROP TABLE IF EXISTS runs")
                cache.execute(
                    "CREATE TABLE runs "
                    "(directory TEXT PRIMARY KEY, size INTEGER, changed INTEGER, entry TEXT, checksum INTEGER)"
                )
                cache.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        cache.close()
        raise
    return cache


def _known(cache: sqlite3.Connection, path: Path, wanted: Sequence[str]) -> _Rows:
    """Return what the index has of some directories; nothing of what it has is believed to be in order."""
    known: _Rows = {}
    with _forgiven(path):
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            query = f"SELECT {_COLUMNS} FROM runs WHERE directory IN ({','.join('?' * len(part))})"  # noqa: S608 - no values
            for name, size, changed, text, checksum in cache.execute(query, part):
                with suppress(ValueError, TypeError):
                    fields = json.loads(text)
                    if _is_whole(fields) and checksum == _checksum(name, size, changed, text):
                        known[name] = (size, changed), fields
    return known


_KINDS = {
    "run": dict,
    "params": dict,
    "metrics": dict,
    "tags": dict,
    "status": str,
    "reason": (str, type(None)),
    "started": int,
    "ended": int,
    "torn": (str, type(None)),
}


def _is_whole(fields: Any) -> bool:
    return (
        isinstance(fields, dict)
        and fields.keys() == _KINDS.keys()
        and all(isinstance(fields[name], kind) for name, kind in _KINDS.items())  # type: ignore[arg-type]
    )


def _keep(cache: sqlite3.Connection, path: Path, read: _Rows) -> None:
    """Write what was read, and forget runs that are gone."""
    made = [(name, *key, json.dumps(fields, separators=(",", ":"))) for name, (key, fields) in read.items()]
    rows = [(*row, _checksum(*row)) for row in made]
    with _forgiven(path), cache:
        cache.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", rows)
        names = [name for (name,) in cache.execute("SELECT directory FROM runs")]
        gone = [(name,) for name in names if not isinstance(name, str) or not os.path.exists(name)]  # noqa: PTH110 - thousands of them
        cache.executemany("DELETE FROM runs WHERE directory = ?", gone)


def _checksum(*row: Any) -> int:
    return zlib.crc32(repr(row).encode())
