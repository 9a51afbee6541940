"""Kept checkpoints: which ones a run writes while it trains, and which of them stay."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from nnlab import checkpoint, resuming
from nnlab.config import Checkpoint
from nnlab.journal import Journal
from nnlab.signals import held
from nnlab.snapshot import Snapshot


class KeptCheckpoints:
    """The checkpoints of one run.

    Those of the best epoch, on val/loss, and of the one that early stopping would go back to wait in memory until the
    next checkpoint is due. Then they are written in the background: each takes a dozen syncs, one after the other, and
    a sync may last as long as many epochs. What goes wrong there is raised at the next epoch, or at the end.

    Args:
        directory: of the run.
        journal: of the run, where each is noted.
        config: when one is due, and which stay.
        identity: what the manifest of each carries.
        written: epochs of those that are there.
        writer: a thread that writes them, one after the other.
        restores_best: whether early stopping goes back to its best epoch.
    """

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        config: Checkpoint,
        identity: Mapping[str, Any],
        written: set[int],
        writer: Executor,
        *,
        restores_best: bool,
    ) -> None:
        self.folder, self.journal, self.config, self.identity = directory / "checkpoints", journal, config, identity
        self.restores_best = restores_best
        self.best: dict[str, Any] = {}
        """Epoch and metrics of the lowest val/loss."""
        self._best: Snapshot | None = None  # until it is written
        self._restorable: Snapshot | None = None
        self._last: Snapshot | None = None  # of the run's end
        self._written, self._writer = written, writer  # the first is the writer's alone while it is at work
        self._writing: Future[None] | None = None

    def go_on(self, start: Snapshot) -> None:
        """Take up where a checkpoint was written.

        Raises:
            NnlabError: the one that early stopping would go back to is damaged.
        """
        self.best = dict(start.manifest.get("best", {}))
        if self.restores_best and "early_stopping" in start.manifest:
            epoch = start.manifest["early_stopping"]["best_epoch"]
            self._restorable = start if epoch == start.epoch else resuming.load(self.folder / checkpoint.name(epoch))
        self._last = start

    def epoch(
        self,
        epoch: int,
        values: Mapping[str, float],
        snapshot: Callable[[], Snapshot],
        *,
        is_improved: bool,
        is_end: bool,
        is_failed: bool,
        is_auto_due: bool,
    ) -> None:
        """Take one epoch, and write a checkpoint where one is due.

        Args:
            epoch: its number.
            values: metrics of it.
            snapshot: gives the run's snapshot after it.
            is_improved: early stopping would go back to it.
            is_end: it is the last one, whose checkpoint is left to ``finish``.
            is_failed: its numbers became NaN or Inf: there is nothing to go on from.
            is_auto_due: it is time for the checkpoints of ``every=auto``.

        Raises:
            OSError: the file system has refused the checkpoint before.
        """
        if self._writing is not None and self._writing.done():
            self.wait()
        is_best = values.get("val/loss", np.inf) < self.best.get("val/loss", np.inf)
        if is_best:
            chosen = {name: value for name, value in values.items() if name.startswith(("val/", "test/"))}
            self.best = {"epoch": epoch, **chosen}
        is_kept = is_best and self.config.every is not None
        is_restorable = self.restores_best and is_improved
        is_due = self._is_due(epoch, is_auto_due=is_auto_due) and not (is_end or is_failed)
        if is_kept or is_restorable or is_due or is_end:
            taken = snapshot()
            taken.manifest.update(best=dict(self.best), needs=self._needs(epoch, is_restorable=is_restorable))
            self._best = taken if is_kept else self._best
            self._restorable = taken if is_restorable else self._restorable
            self._last = taken if is_end else None
            if is_due:
                self._write_with_others(taken)

    @property
    def end(self) -> Snapshot:
        """What the run ends with: its last epoch, or the one that early stopping goes back to."""
        assert self._last is not None  # noqa: S101 - the run has ended
        return self._restored or self._last

    @property
    def is_restored(self) -> bool:
        """Whether it ends with an earlier epoch than its last."""
        return self._restored is not None

    def finish(self) -> None:
        """Begin to write the last checkpoint; it names the epoch that early stopping goes back to."""
        last = self._last
        assert last is not None  # noqa: S101 - the run has ended
        if self._restored is not None:
            last.manifest["restored_epoch"] = self._restored.epoch
        if self._best is not None and self._best.epoch == last.epoch:
            self._best = None  # the same arrays, and the last manifest says more
        self._write_with_others(last)

    def save_best(self) -> None:
        """Write the checkpoint of the best epoch so far, and wait until it is on the disk.

        Raises:
            OSError: the file system refuses.
        """
        if self._best is not None:
            self._begin_to_write([self._best])
        self.wait()

    def wait(self) -> None:
        """Wait until all that is to be written is on the disk.

        Raises:
            OSError: the file system refuses.
        """
        if self._writing is not None:
            concurrent.futures.wait([self._writing])  # may be interrupted: there is still something to wait for then
            writing, self._writing = self._writing, None
            writing.result()

    def give_up(self) -> None:
        """Leave out what is not begun to be written yet; there is no time for it."""
        if self._writing is not None and self._writing.cancel():
            self._writing = None

    @property
    def _restored(self) -> Snapshot | None:
        is_earlier = self._restorable and self._last and self._restorable.epoch < self._last.epoch
        return self._restorable if is_earlier else None

    def _needs(self, epoch: int, *, is_restorable: bool) -> list[int]:
        """Return the epochs whose checkpoints it takes to go on from this one's."""
        needed = set()
        if self.config.every is not None and self.best:
            needed.add(int(self.best["epoch"]))
        if self._restorable is not None and not is_restorable:
            needed.add(self._restorable.epoch)
        return sorted(needed - {epoch})

    def _is_due(self, epoch: int, *, is_auto_due: bool) -> bool:
        every = self.config.every
        if epoch == 0:
            return True
        return is_auto_due if every == "auto" else every is not None and epoch % every == 0

    def _write_with_others(self, taken: Snapshot) -> None:
        """Begin to write a checkpoint, first those that it needs, and to remove what is no longer wanted."""
        due = [each for each in (self._best, self._restorable, taken) if each is not None]
        wanted = {0, self.best.get("epoch", 0), *(each.epoch for each in due)}
        self._begin_to_write(due, wanted if self.config.keep == "best" else None)

    def _begin_to_write(self, due: Sequence[Snapshot], wanted: set[int] | None = None) -> None:
        self.wait()  # so that no more than one of each kind is in memory, however slow the disk is
        with held():  # or there could be something under way that nobody waits for
            self._writing = self._writer.submit(self._write, due, wanted)
            self._best = None

    def _write(self, due: Sequence[Snapshot], wanted: set[int] | None) -> None:
        """Write some checkpoints, and remove those of other epochs than are wanted, if that is given."""
        for taken in due:
            if taken.epoch not in self._written:
                self._write_one(taken)
        for epoch in sorted(self._written - wanted) if wanted is not None else ():
            self._written.remove(epoch)
            checkpoint.remove(self.folder / checkpoint.name(epoch))
            self.journal.write("pruned", path=f"checkpoints/{checkpoint.name(epoch)}")

    def _write_one(self, taken: Snapshot) -> None:
        self.journal.sync()  # or a power cut might leave a checkpoint of epochs that the journal has lost
        folder = self.folder / checkpoint.name(taken.epoch)
        checkpoint.write(folder, taken.arrays, {**self.identity, **taken.manifest})
        self._written.add(taken.epoch)
        self.journal.write("artifact", path=f"checkpoints/{folder.name}", sha256=checkpoint.seal(folder))
