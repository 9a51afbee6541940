"""Checkpoint scenes: what a trainer does with its checkpoints, with a run that has them all to take them from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from nnlab import atomic_file, checkpoint, journal, resuming
from nnlab.config import Checkpoint
from nnlab.journal import Journal
from nnlab.kept_checkpoints import KeptCheckpoints
from nnlab.snapshot import Snapshot

EPOCHS = range(9)
"""That the run has, which gives the snapshots: each with a checkpoint of its own."""
BEST = (2, 7)
"""Epochs of the lowest val/loss, up to the one before the second and up to the second."""
OLD, NEW = b'{"old": 1}\n' * 3, b'{"new": 22}\n' * 700
"""What is in the single file before and after it is replaced."""
FILE = "some.json"
BEGINS = "nnlab.scene"
"""A tag that is in the journal's line with which a scene begins."""

Act = Callable[[], object]
"""What is done, all of it by one thread: by the one that acts, or by the one that is given to prepare it."""


@dataclass(frozen=True)
class Run:
    """The run that gives the snapshots.

    Attributes:
        snapshots: epoch -> what its checkpoint holds.
        values: epoch -> its metrics.
    """

    snapshots: dict[int, Snapshot]
    values: dict[int, dict[str, float]]

    @classmethod
    def of(cls, directory: Path) -> Run:
        """Read a run."""
        root = directory / "checkpoints"
        snapshots = {epoch: resuming.load(root / checkpoint.name(epoch)) for epoch in EPOCHS}
        return cls(snapshots, journal.read(directory).steps)


@dataclass(frozen=True)
class Scene:
    """What is there, and what is done to it.

    Attributes:
        before: epochs with a checkpoint.
        after: epochs with one when all is done.
        prepare: gives what is to be done.
        damaged: the epoch of one that is there and damaged.
        leftover: the epoch of one of which a killed process has left a temporary folder.
        has_file: the single file is there.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    prepare: Callable[[Path, Journal, Run, Executor], Act]
    damaged: int | None = None
    leftover: int | None = None
    has_file: bool = False

    @property
    def stay(self) -> set[int]:
        """Epochs whose checkpoints are whole at every moment."""
        return {*self.before} & {*self.after} - {self.damaged}


def _kept(
    directory: Path, log: Journal, writer: Executor, *, every: int, restores_best: bool = False
) -> KeptCheckpoints:
    """Return a run's checkpoints as they are taken up by its recorder."""
    start = resuming.start(directory)
    whole = resuming.tidy(log, journal.replay(directory), resuming.start_epoch(directory), lambda _: None)
    config = Checkpoint(every=every, keep="best")
    kept = KeptCheckpoints(directory, log, config, {}, whole, writer, restores_best=restores_best)
    if start:
        kept.go_on(resuming.load(start))
    return kept


def _take(kept: KeptCheckpoints, run: Run, epoch: int, *, is_end: bool = False) -> None:
    arrays, manifest = run.snapshots[epoch]
    kept.epoch(
        epoch,
        run.values[epoch],
        lambda: Snapshot(arrays, dict(manifest)),
        is_improved=epoch == 4,
        is_end=is_end,
        is_failed=False,
        is_auto_due=False,
    )


def _first(directory: Path, log: Journal, run: Run, writer: Executor) -> Act:
    kept = _kept(directory, log, writer, every=5)
    return lambda: _take(kept, run, 0)


def _beside(directory: Path, log: Journal, run: Run, writer: Executor) -> Act:
    """The best epoch so far waits in memory until the next one is due."""
    kept = _kept(directory, log, writer, every=5)
    _take(kept, run, 2)
    return lambda: _take(kept, run, 5)


def _prune(directory: Path, log: Journal, run: Run, writer: Executor) -> Act:
    """A new best one makes those of the best and of the last epoch so far superfluous."""
    kept = _kept(directory, log, writer, every=1)
    return lambda: _take(kept, run, 7)


def _finish(directory: Path, log: Journal, run: Run, writer: Executor) -> Act:
    """The last epoch, and the one that early stopping goes back to."""
    kept = _kept(directory, log, writer, every=100, restores_best=True)
    _take(kept, run, 4)
    _take(kept, run, 5, is_end=True)
    return kept.finish


def _replace(directory: Path, log: Journal, run: Run, _: Executor) -> Act:
    """A damaged one is in the place of the one that is due."""

    def act() -> None:
        log.sync()
        checkpoint.write(directory / "checkpoints" / checkpoint.name(5), *run.snapshots[5])

    return act


def _tidy(directory: Path, log: Journal, run: Run, _: Executor) -> Act:  # noqa: ARG001 - a scene's
    """What a run does with a damaged one, and with what a killed process has left, when it is resumed."""
    known = journal.replay(directory)
    begun = resuming.start_epoch(directory)
    return lambda: resuming.tidy(log, known, begun, lambda _: None)


def _file(directory: Path, log: Journal, run: Run, _: Executor) -> Act:  # noqa: ARG001 - a scene's
    return lambda: atomic_file.write(directory / FILE, NEW)


SCENES = {
    "first": Scene((), (0,), _first),
    "beside": Scene((0,), (0, 2, 5), _beside),
    "prune": Scene((0, 2, 5), (0, 7), _prune),
    "finish": Scene((0, 2), (0, 2, 4, 5), _finish),
    "replace": Scene((0, 2, 5), (0, 2, 5), _replace, damaged=5),
    "tidy": Scene((0, 2, 5), (0, 2), _tidy, damaged=5, leftover=6),
    "new file": Scene((0,), (0,), _file),
    "file": Scene((0,), (0,), _file, has_file=True),
}
