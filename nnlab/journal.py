"""Journal: what happened to a run, one JSON object a line, append only.

The journal is the run's record; MLflow's copy, ``history.csv`` and the tables of ``compare`` are derived from it.
Every line has a ``type`` and a ``timestamp`` (milliseconds since 1970):

    run       run_id, name, experiment, parent, user, tags, ... : once, first
    params    params: {name: value}
    metrics   step, metrics: {name: number}; NaN and infinities are written as strings
    artifact  path: a file or folder, relative to the run's directory
    pruned    path: an artifact that has been deleted again
    tags      tags: {name: text}; also of a run that has ended, see ``annotate``
    status    status: FINISHED | FAILED | KILLED, reason: last

Whoever writes a journal holds its lock. So a journal without a status is that of a running run while it is locked, and
that of a dead one otherwise. Each line is a single ``write`` to a file opened for appending: a killed process leaves
whole lines and at most one torn one at the end. Readers leave that alone, the next writer cuts it off. A run that is
resumed goes on behind its status; one that is annotated gets the same status again, with the timestamp of its end.
"""

from __future__ import annotations

import functools
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nnlab import locks
from nnlab.errors import NnlabError

NAME = "journal.jsonl"
DIED = "the process died without closing the run"

_KEYS = {
    "run": ("run_id",),
    "params": ("params",),
    "metrics": ("step", "metrics"),
    "artifact": ("path",),
    "pruned": ("path",),
    "tags": ("tags",),
    "status": ("status", "reason"),
}

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
Event = dict[str, Any]


class Journal:
    """The writing end.

    Args:
        directory: of the run; made if it isn't there.

    Raises:
        NnlabError: another process is writing this journal.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / NAME
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        if not locks.lock(self._fd, seconds=1):  # a reader that looks whether we live holds it for a moment
            os.close(self._fd)
            raise NnlabError(f"{self.path} is being written by another process: a run has one trainer at a time")
        os.ftruncate(self._fd, whole_lines(self.path))

    def write(self, type: str, **fields: Any) -> None:  # noqa: A002 - the key in the file
        """Append one line.

        Raises:
            OSError: the file system refuses; nothing is swallowed.
        """
        self._append(_event(type, **fields))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append the metrics of one step (the epoch; for ``update/*`` the update)."""
        # A run has thousands of these lines, and json.dumps takes three times as long.
        numbers = ",".join([f"{_quoted(name)}:{_number(float(value))}" for name, value in values.items()])
        line = f'{{"type":"metrics","timestamp":{_now()},"step":{int(step)},"metrics":{{{numbers}}}}}\n'
        self._write(line.encode())

    def close(self, status: Status, reason: str | None = None) -> None:
        """Append the status and let go of the lock."""
        self.close_with(_event("status", status=status, reason=reason))

    def close_with(self, *events: Event) -> None:
        """Append lines, the last of them the status, in a single write, and let go of the lock."""
        try:
            self._append(*events)
        finally:
            os.close(self._fd)

    def sync(self) -> None:
        """Bring all that was written onto the disk."""
        os.fsync(self._fd)

    def release(self) -> None:
        """Let go of the lock without a status: somebody is to go on with the run."""
        os.close(self._fd)

    def _append(self, *events: Event) -> None:
        lines = [json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n" for event in events]
        self._write("".join(lines).encode())

    def _write(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        if written != len(data):
            # Or the next line would be glued to the torn one.
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(f"{self.path}: only a part of a line could be written; is the disk full?")


@functools.cache
def _quoted(name: str) -> str:
    return json.dumps(name)


def encode(value: float) -> float | str:
    """Return a number as JSON can hold it: NaN and infinities as the strings "NaN", "Infinity", "-Infinity"."""
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{encode(value)}"'


def _now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Record:
    """A whole journal, read.

    Attributes:
        directory: of the run.
        run: the fields of the ``run`` line; empty if there is none yet.
        params: name -> value.
        steps: step -> {name: value}, in the order written; a step written twice keeps its last values.
        updates: step -> {name: value} of single updates, ``update/*``.
        artifacts: paths relative to the directory, without those pruned.
        pruned: those.
        tags: name -> text, from ``tags`` lines; those that a run begins with are in ``run``.
        status: RUNNING while the writer lives; KILLED if it died without a word.
        reason: of FAILED or KILLED.
        ended: timestamp of the status, of the last line while there is none, ms.
    """

    directory: Path
    run: Event = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, dict[str, float]] = field(default_factory=dict)
    updates: dict[int, dict[str, float]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    pruned: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    status: Status = "RUNNING"
    reason: str | None = None
    ended: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of every metric."""
        return {name: value for values in self.steps.values() for name, value in values.items()}

    def add(self, event: Event) -> None:
        """Take one more line into account."""
        self.ended = max(self.ended, event["timestamp"])
        self.status, self.reason = "RUNNING", None  # whatever follows a status has resumed the run
        match event["type"]:
            case "run":
                self.run = event
            case "params":
                self.params |= event["params"]
            case "metrics":
                values = {name: float(value) for name, value in event["metrics"].items()}
                is_update = next(iter(values), "").startswith("update/")
                (self.updates if is_update else self.steps).setdefault(event["step"], {}).update(values)
            case "artifact" if event["path"] not in self.artifacts:
                self.artifacts.append(event["path"])
                self.pruned.discard(event["path"])
            case "pruned" if event["path"] in self.artifacts:
                self.artifacts.remove(event["path"])
                self.pruned.add(event["path"])
            case "tags":
                self.tags |= event["tags"]
            case "status":
                self.status, self.reason, self.ended = event["status"], event["reason"], event["timestamp"]


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole line from ``offset`` (bytes) on, with the offset behind it; a torn last line is left alone.

    Raises:
        NnlabError: a whole line is not a JSON object of ours.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                event = json.loads(line)
                for key in ("timestamp", *_KEYS.get(event["type"], ())):
                    event[key]
            except (ValueError, TypeError, KeyError) as error:
                raise NnlabError(
                    f"{path} is damaged: the line that ends at byte {offset} is no event of ours"
                ) from error
            yield event, offset


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


def read(directory: Path) -> Record:
    """Read a run's whole journal.

    Raises:
        NnlabError: there is none, or it is damaged.
    """
    path = directory / NAME
    if not path.is_file():
        raise NnlabError(f"{directory} holds no run: there is no {NAME} in it")
    is_dead = not locks.is_locked(path)  # asked first: a run that closes while we read has then a status
    return replay(directory, is_dead=is_dead)


def annotate(directory: Path, tags: Mapping[str, str], artifacts: Sequence[str] = ()) -> None:
    """Add tags and artifacts to a run that has ended; its status, reason and end stay as they are.

    Args:
        directory: of the run.
        tags: name -> text.
        artifacts: paths relative to the directory.

    Raises:
        NnlabError: there is no run, its journal is damaged, or a living process is writing it.
    """
    read(directory)  # refuses before the writer makes a journal
    journal = Journal(directory)
    record = replay(directory)  # nobody else has the lock now
    # In one write: killed between two, we would leave a finished run without its status.
    journal.close_with(
        *(_event("artifact", path=path) for path in artifacts),
        _event("tags", tags=dict(tags)),
        _event("status", status=record.status, reason=record.reason, timestamp=record.ended),
    )


def _event(type: str, **fields: Any) -> Event:  # noqa: A002 - the key in the file
    return {"type": type, "timestamp": _now(), **fields}


def replay(directory: Path, *, is_dead: bool = True) -> Record:
    """Read a journal whose lock the caller has, or whose writer is known to live.

    Raises:
        NnlabError: it is damaged.
    """
    record = Record(directory)
    for event, _ in read_events(directory / NAME):
        record.add(event)
    if record.status == "RUNNING" and is_dead:
        record.status, record.reason = "KILLED", DIED
    return record
