"""Journal: what happened to a run, one JSON object a line, append only.

The journal is the run's record; MLflow's copy, ``history.csv`` and the tables of ``compare`` are derived from it.
Every line has a ``type`` and a ``timestamp`` (milliseconds since 1970):

    run       run_id, name, experiment, parent, user, tags, ... : once, first
    params    params: {name: value}
    metrics   step, metrics: {name: number}; NaN and infinities are written as strings
    artifact  path: a file or folder, relative to the run's directory; of a checkpoint sha256, its manifest's
    pruned    path: an artifact that has been deleted again
    tags      tags: {name: text}; also of a run that has ended, see ``annotate``
    status    status: FINISHED | FAILED | KILLED, reason: last

Whoever writes a journal holds its lock. So a journal without a status is that of a running run while it is locked, and
that of a dead one otherwise. Each line is a single ``write`` to a file opened for appending: a killed process leaves
whole lines and at most one torn one at the end. Readers leave that alone, the next writer cuts it off. No line is older
than the one before it, whatever the clock does. A run that is resumed goes on behind its status; one that is annotated
gets the same status again, with the timestamp of its end.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from nnlab import journal_lines, locks
from nnlab.clock import Clock
from nnlab.errors import NnlabError, naming
from nnlab.journal_lines import Event as Event  # for those who read one
from nnlab.journal_lines import read_events as read_events
from nnlab.journal_lines import sync as sync
from nnlab.journal_lines import whole_lines as whole_lines

NAME = "journal.jsonl"
DIED = "the process died without closing the run"
PRUNED = "nnlab.pruned"
"""Tag of a run that a search ended before its time: after which epoch. Its status is KILLED."""

_PIECE = 1 << 20  # bytes of a journal that are copied at a time
_RESERVE, _RESERVED = ".reserve", 4096  # a file beside the journal, bytes: given back to a full disk for the status

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
DAMAGED = "damaged"
"""Folder of a run's directory for what was found damaged, and is not used any more."""


class Journal:
    """The writing end; several threads may write lines.

    Args:
        directory: of the run; made if it isn't there.

    Attributes:
        path: of the file.
        torn: bytes of a torn tail that were cut off.

    Raises:
        NnlabError: another process is writing this journal, or the file is none.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / NAME
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        if not locks.lock(self._fd, seconds=1):  # a reader that looks whether we live holds it for a moment
            os.close(self._fd)
            raise locks.taken(self.path)
        try:
            end, last = journal_lines.last(self.path)
            known = last["timestamp"] if last else 0
            self._clock = Clock(known if isinstance(known, int) else 0)
            self._turn = threading.Lock()  # or of two lines the older one might come last
            self.torn = os.fstat(self._fd).st_size - end
            if self.torn:
                self._keep_tail(end)
                os.ftruncate(self._fd, end)
        except BaseException:
            os.close(self._fd)
            raise
        self._reserve = directory / _RESERVE
        with contextlib.suppress(OSError):  # whatever keeps us from it will keep us from the first line too
            self._reserve.write_bytes(os.urandom(_RESERVED))

    def write(self, type: str, **fields: Any) -> None:  # noqa: A002 - the key in the file
        """Append one line.

        Raises:
            OSError: the file system refuses; nothing is swallowed.
        """
        with self._turn:
            self._append(self.event(type, **fields))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Append the metrics of one step (the epoch; for ``update/*`` the update)."""
        # A run has thousands of these lines, and json.dumps takes three times as long.
        numbers = ",".join([f"{_quoted(name)}:{_number(float(value))}" for name, value in values.items()])
        with self._turn:
            line = f'{{"type":"metrics","timestamp":{self._clock.now()},"step":{int(step)},"metrics":{{{numbers}}}}}\n'
            self._write(line.encode())

    def extend(self, longer: BinaryIO) -> None:
        """Append, byte for byte, what a longer copy of this journal still has.

        Args:
            longer: that copy, at the place where this journal ends.

        Raises:
            OSError: the file system refuses.
        """
        with self._turn:
            while piece := longer.read(_PIECE):
                self._write(piece)

    def close(self, status: Status, reason: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        """Append the status, with last tags before it, and let go of the lock."""
        last = [self.event("tags", tags=dict(tags))] if tags else []
        self.close_with(*last, self.event("status", status=status, reason=reason))

    def close_with(self, *events: Event) -> None:
        """Append lines, the last of them the status, in a single write, and let go of the lock.

        Where the disk is full, what was kept free for them is used up.
        """
        try:
            self._append(*events)
        except OSError:
            self._free_reserve()
            self._append(*events)
        finally:
            self.release()

    def sync(self) -> None:
        """Bring all that was written onto the disk."""
        with naming(self.path):
            os.fsync(self._fd)

    def release(self) -> None:
        """Let go of the lock without a status: somebody is to go on with the run."""
        self._free_reserve()
        os.close(self._fd)

    def event(self, type: str, **fields: Any) -> Event:  # noqa: A002 - the key in the file
        """Return what a line of now is to say."""
        return {"type": type, "timestamp": self._clock.now(), **fields}

    def _keep_tail(self, end: int) -> None:
        """Keep what is to be cut off, where it is more than the piece of a line that a killed process leaves."""
        with self.path.open("rb") as file:
            file.seek(end)
            tail = file.read()
        if b"\n" in tail and not end:
            raise NnlabError(f"{self.path} is damaged: no line of it is an event of ours")
        if b"\n" in tail:
            folder = self.path.with_name(DAMAGED)
            folder.mkdir(exist_ok=True)
            (folder / f"{NAME}.from-{end}").write_bytes(tail)

    def _free_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def _append(self, *events: Event) -> None:
        lines = [json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n" for event in events]
        self._write("".join(lines).encode())

    def _write(self, data: bytes) -> None:
        with naming(self.path):
            written = os.write(self._fd, data)
        if written != len(data):
            # Or the next line would be glued to the torn one.
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            text = "only a part of a line could be written; is the disk full?"
            raise OSError(errno.ENOSPC, text, str(self.path))


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
    def is_pruned(self) -> bool:
        """Whether a search ended it: it is neither finished nor to be gone on with."""
        return self.status == "KILLED" and PRUNED in self.tags

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
                self.status, self.reason = event["status"], event["reason"]
                self.ended = max(event["timestamp"], self.run.get("timestamp", 0))  # the clock of old ones went back


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
        *(journal.event("artifact", path=path) for path in artifacts),
        journal.event("tags", tags=dict(tags)),
        journal.event("status", status=record.status, reason=record.reason) | {"timestamp": record.ended},
    )


def replay(directory: Path, *, is_dead: bool = True) -> Record:
    """Read a journal whose lock the caller has, or whose writer is known to live.

    Raises:
        NnlabError: it is damaged.
    """
    record = Record(directory)
    try:
        for event, _ in read_events(directory / NAME):
            record.add(event)
    except (TypeError, ValueError, AttributeError) as error:  # somebody else's, or edited
        raise NnlabError(f"{directory / NAME} is damaged: a line holds what no journal of ours has there") from error
    if record.status == "RUNNING" and is_dead:
        record.status, record.reason = "KILLED", DIED
    return record
