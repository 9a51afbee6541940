"""Disk trial: a run on a disk that fails, judged without nnlab, then gone on with on one that is well again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import left
from benchmarks.faults import system_calls
from benchmarks.faults.checkpoints import whole_checkpoints
from benchmarks.faults.disks import small_disk
from benchmarks.faults.disks.disk_places import RUN, Refusal
from benchmarks.faults.warm import Ended, Warm
from benchmarks.left import Left

_NOT_BEGUN = ("was stopped before it began", "there is nothing to go on with")
_ROOMY = 65_536  # kilobytes


@dataclass(frozen=True)
class Room:
    """A disk that has so many kilobytes for a run."""

    kilobytes: int

    def __str__(self) -> str:
        return f"a disk of {self.kilobytes} KiB"


@dataclass(frozen=True)
class Undisturbed:
    """What the same run leaves on a disk that is well.

    Attributes:
        left: of it.
        directory: of one that keeps every checkpoint.
    """

    left: Left
    directory: Path


class Trials:
    """What some trials in one outputs root have shown.

    Args:
        warm: gives the commands.
        expected: what an undisturbed run leaves.

    Attributes:
        runs: name -> directory of each run that has come to its end after all.
        seen: what happened -> how often.
        let_go: lets a tracker in.
    """

    def __init__(self, warm: Warm, expected: Undisturbed) -> None:
        self.warm, self.expected = warm, expected
        self.runs: dict[str, Path] = {}
        self.seen: dict[str, int] = {}
        self.let_go: Callable[[], object] = lambda: None
        self._number = 0

    def run(self, fault: Refusal | Room) -> Iterator[str]:
        """Train a run with a fault; yield what is wrong with what it does and leaves, then and when it is gone on."""
        self._number += 1
        directory = self.warm.outputs / "runs" / f"{self._number:03d}"
        with contextlib.ExitStack() as disk:
            with self._failing(fault, directory, disk):
                ended = self.warm.run(["train", *RUN, f"hydra.run.dir={directory}"], seconds=60)
            if ended.code == 0:
                self._count("room enough, or not needed")
            else:
                yield from _message(ended, fault, directory)
                yield from self._left(directory, ended)
                if isinstance(fault, Room):
                    small_disk.change(directory, f"size={_ROOMY}k")
                again = self.warm.run(["resume", "--retry-failed", str(directory)], seconds=60)
                if again.code == 2 and any(text in again.err for text in _NOT_BEGUN):
                    self._count("stopped before the run had begun")
                    if (directory / "checkpoints").is_dir() and whole_checkpoints.epochs(directory):
                        yield "there is a checkpoint, and the run can't be gone on with"
                    return
                if again.code or "Traceback" in again.out + again.err:
                    yield f"resume ended with {again.code}: {again.err[-300:]}"
                    return
            yield from left.differences(self.expected.left, left.read(directory))
            yield from whole_checkpoints.problems(directory, self.expected.directory)
            kept = directory.with_name(f"{directory.name}-kept")
            shutil.copytree(directory, kept)
        if kept.exists():  # the disk of its own is gone by now
            if directory.exists():
                shutil.rmtree(directory)
            kept.rename(directory)
            self.runs[str(fault)] = directory

    def _left(self, directory: Path, ended: Ended) -> Iterator[str]:
        """Yield what is wrong with a run's record and checkpoints when its disk has failed."""
        if not (directory / left.JOURNAL).is_file():
            self._count("no journal could be made")
            return
        events = left.lines(directory)
        status = events[-1].get("status") if events else None
        if status == "FAILED":
            self._count("FAILED on record")
            if events[-1]["reason"].split(": ")[0] not in ended.err:
                yield f"the journal's reason {events[-1]['reason']!r} is not what was said: {ended.err!r}"
        elif status is None:
            self._count("its end could not be recorded")
        else:
            yield f"it failed, and its record says {status}"
        artifacts = {event["path"] for event in events if event["type"] == "artifact"}
        pruned = {event["path"] for event in events if event["type"] == "pruned"}
        for name in artifacts - pruned:
            path = directory / name
            if not path.exists() or (path.is_file() and not path.stat().st_size):
                yield f"{name} is journalled, and not there"
        for name in artifacts - pruned:
            if name.endswith(".png") and not (directory / name).read_bytes().endswith(b"IEND\xaeB`\x82"):
                yield f"{name} is cut"
        yield from whole_checkpoints.problems(directory, self.expected.directory)

    @contextmanager
    def _failing(self, fault: Refusal | Room, directory: Path, disk: contextlib.ExitStack) -> Iterator[None]:
        if isinstance(fault, Room):
            disk.enter_context(small_disk.mounted(directory, fault.kilobytes))
            yield
            return
        log, path = self.warm.folder / "strace", os.path.normpath(directory / fault.path)
        traced, injected = fault.options
        with system_calls.attached(self.warm.pid, log, "-f", "-P", path, "-e", traced, "-e", injected):
            yield
        if "(INJECTED)" not in log.read_text():
            raise RuntimeError("there was no such call")

    def _count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1


def _message(ended: Ended, fault: Refusal | Room, directory: Path) -> Iterator[str]:
    """Yield what is wrong with what a run says whose disk has failed."""
    yield from said(ended, directory, None)
    reasons = [fault.reason] if isinstance(fault, Refusal) else ["No space left on device", "is the disk full?"]
    if not any(reason in ended.err for reason in reasons):
        yield f"the message names no reason: {ended.err[-300:]!r}"


def said(ended: Ended, directory: Path, path: str | None) -> Iterator[str]:
    """Yield what is wrong with how a command says that it has failed: in one line, with a path.

    Args:
        ended: the command.
        directory: that the path is in.
        path: if it is known.
    """
    lines = ended.err.splitlines()
    if ended.code != 1:
        yield f"exit code {ended.code}"
    if len(lines) != 1 or not lines[0].startswith("nnlab: "):
        yield f"{len(lines)} lines on stderr: {ended.err[:300]!r}"
    if "Traceback" in ended.out + ended.err:
        yield "a traceback"
    if (path or str(directory)) not in ended.err:
        yield f"the message names no path: {ended.err[-300:]!r}"
