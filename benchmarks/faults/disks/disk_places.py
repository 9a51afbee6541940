"""Disk places: which calls of a run are refused, where, and why, and with how much room a disk is filled."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

RUN = [
    *("dataset=moons", "dataset.samples=60", "architecture.hidden_sizes=[3]", "training.epochs=6"),
    *("checkpoint.every=2", "optimizer.momentum=0.9", "training.blas_threads=1", "tracking.wait_seconds=0"),
]
"""A run of some milliseconds."""

EPOCHS = 6
_CHECKPOINT = "checkpoints/.epoch-{:06d}.tmp"
_WORN_OUT = ("ENOSPC", "EDQUOT", "EIO")
_LOCKED_UP = ("EACCES", "EROFS", "EMFILE")


@dataclass(frozen=True)
class Refusal:
    """A system call that is refused.

    Attributes:
        path: of the file or folder that it is about, seen from the run's directory.
        call: name of the call.
        error: name of the error.
        first: the first such call of a thread that is refused, from 1 on; all of it that follow are too.
    """

    path: str
    call: str
    error: str
    first: int = 1

    def __str__(self) -> str:
        return f"{self.call} {self.first} of {self.path}: {self.error}"

    @property
    def options(self) -> tuple[str, str]:
        """What strace is told, without the path."""
        names = {"mkdir": "/^mkdir(at)?$", "rename": "/^rename(at|at2)?$"}.get(self.call, self.call)
        return f"trace={names}", f"inject={names}:error={self.error}:when={self.first}+"

    @property
    def reason(self) -> str:
        """What the system says of the error."""
        return os.strerror(getattr(errno, self.error))


def refusals(journal_lines: int) -> list[Refusal]:
    """Return every refusal that is tried.

    Args:
        journal_lines: of an undisturbed run, without those on checkpoints, which another thread writes.
    """
    return [
        *_journal(journal_lines),
        *_checkpoints(),
        *(Refusal("plots/loss.png", "write", error) for error in _WORN_OUT),
        *(Refusal("plots/decision_boundary.png", "openat", error) for error in _LOCKED_UP),
        *(Refusal("plots", "mkdir", error) for error in ("EROFS", "ENOSPC")),
        *(Refusal("history.csv", "write", error) for error in _WORN_OUT),
        *(Refusal(name, "openat", "EMFILE") for name in ("history.csv", ".config.yaml.tmp", "plots/loss.png")),
        *(Refusal("train.log", "write", error, first) for error in _WORN_OUT for first in (1, 2, 3)),
        *(
            Refusal(f".{name}.tmp", "write", error)
            for name in ("config.yaml", "environment.json")
            for error in _WORN_OUT
        ),
        *(Refusal(".hydra/config.yaml", call, "ENOSPC") for call in ("write", "openat")),
        *(Refusal(".", "mkdir", error) for error in ("EROFS", "EACCES", "ENOSPC")),
    ]


def _journal(lines: int) -> Iterator[Refusal]:
    places = sorted({1, 2, 3, 5, lines // 2, lines - 2, lines - 1, lines})
    yield from (Refusal("journal.jsonl", "write", error, first) for first in places for error in _WORN_OUT)
    yield from (Refusal("journal.jsonl", "openat", error) for error in _LOCKED_UP)
    yield from (Refusal("journal.jsonl", "fsync", "EIO", first) for first in (1, 3))


def _checkpoints() -> Iterator[Refusal]:
    for epoch in (0, 2, EPOCHS):
        folder = _CHECKPOINT.format(epoch)
        for name in ("0.weight.npy", "manifest.json"):
            yield from (Refusal(f"{folder}/{name}", "write", error) for error in _WORN_OUT)
            yield from (Refusal(f"{folder}/{name}", "openat", error) for error in _LOCKED_UP)
            yield Refusal(f"{folder}/{name}", "fsync", "EIO")
        yield from (Refusal(folder, "mkdir", error) for error in ("ENOSPC", "EROFS"))
        yield from (Refusal(folder, "rename", error) for error in ("EIO", "ENOSPC"))
        yield Refusal(folder, "fsync", "EIO")
    yield from (Refusal("checkpoints", "fsync", "EIO", first) for first in (1, 2, 4))
    yield from (Refusal("checkpoints/epoch-000002", "rename", error) for error in ("EROFS", "EIO"))  # to be removed
