"""Durability: whether a log of system calls leaves a moment at which a power cut would lose what should be there.

What is written is on the disk when its file was synced, and a name when its directory was. Nothing says that the disk
takes them in another order, so none is relied on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.faults.system_calls import SYNCS, Call
from nnlab import journal

_WRITES = ("write", "pwrite64", "ftruncate")
_STEP = re.compile(r'"step\\":(\d+),')  # of a line of metrics, as strace shows it
_FINAL = r"\"final/"  # in one of those that a run that is gone on with writes again, whatever its checkpoint
_EPOCH = re.compile(r"epoch-(\d+)")


class _Disk:
    """What is not yet on the disk."""

    def __init__(self) -> None:
        self.bytes: set[Path] = set()
        """Files that were written."""
        self.names: set[Path] = set()
        """Files and folders that were made, or got this name."""
        self.steps: set[int] = set()
        """Of the journal's lines: their epochs, and -1 for what belongs to none."""
        self._known: set[Path] = set()

    def take(self, call: Call) -> None:
        if call.name in _WRITES:
            self.bytes.add(call.path())
            if call.path().name == journal.NAME and _FINAL not in call.arguments:
                step = _STEP.search(call.arguments)
                self.steps.add(int(step[1]) if step else -1)
        elif call.name in SYNCS:
            self.bytes.discard(call.path())
            if call.path().name == journal.NAME:
                self.steps.clear()
            self.names -= {each for each in self.names if each.parent == call.path()}
        elif call.name == "mkdir" or (call.name == "openat" and "O_CREAT" in call.arguments):
            if call.path() not in self._known:
                self.names.add(call.path())
                self._known.add(call.path())
        elif call.name == "rename":
            source, target = call.path(0), call.path(1)
            self.names = {each for each in self.names if each != source and source not in each.parents} | {target}
            self._known -= {source}
        elif call.name in ("unlink", "rmdir"):
            self.names.discard(call.path())
            self.bytes.discard(call.path())
            self._known -= {call.path()}


def problems(calls: Sequence[Call], root: Path) -> Iterator[str]:
    """Yield what a power cut could lose of a run, a line each.

    Args:
        calls: of one process, or of its threads, paths absolute.
        root: folder that was there before, and in which all that counts was done.
    """
    disk = _Disk()
    for call in calls:
        if call.has_failed:
            continue
        if call.name == "rename" and root in call.path(1).parents:
            yield from _of_rename(disk, call.path(0), call.path(1))
        if call.name == "write" and r"\"artifact\"" in call.arguments and "checkpoints/" in call.arguments:
            for what, missing in (("name", disk.names), ("bytes", disk.bytes - {call.path()})):
                waiting = sorted(each for each in missing if root in each.parents and not _is_passing(each))
                yield from (f"the journal names a checkpoint before the {what} of {each}" for each in waiting)
        if call.name in (*_WRITES, *SYNCS, "mkdir", "openat", "rename", "unlink", "rmdir"):
            disk.take(call)


def _of_rename(disk: _Disk, source: Path, target: Path) -> Iterator[str]:
    """Yield what is wrong with the moment at which something gets the name that it is known by, or loses it."""
    if _is_passing(target):
        others = sorted(each for each in disk.names if each.parent == source.parent and not _is_passing(each))
        yield from (f"{source.name} is removed before {each.name} is on the disk" for each in others)
        return
    for what, waiting in (("bytes", disk.bytes), ("name", disk.names)):
        inside = sorted(each for each in waiting if source == each or source in each.parents)
        yield from (
            f"{target.name} gets its name before the {what} of {each.name} are on the disk"
            for each in inside
            if what == "bytes" or each != source
        )
    epoch = _EPOCH.fullmatch(target.name)
    if target.parent == source.parent and epoch and any(step <= int(epoch[1]) for step in disk.steps):
        yield f"{target.name} gets its name before the journal is on the disk up to there"


def _is_passing(path: Path) -> bool:
    """Say whether something is not what it is going to be, or is about to go, or whether that doesn't count."""
    return any(part.startswith(".") for part in path.parts) or path.suffix in (".log", ".diff")
