"""Recorder: keeps one run's record while it trains: journal, checkpoints, log."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nnlab import checkout, checkpoint, environment, journal, resuming
from nnlab.address import address
from nnlab.compose import Job
from nnlab.config import params
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.journal import Journal, Record, Status
from nnlab.snapshot import Snapshot
from nnlab.training import EpochResult

LOG = "train.log"
_Steps = dict[int, dict[str, float]]


class Recorder:
    """The record of one run, from the moment its directory is there until it is closed.

    A resumed run is recorded like a new one: what its journal has already is compared instead of written again.

    Args:
        job: what is run.
        directory: the run's own.
        name: of the run, for people.
        parent: run id of the sweep it belongs to.
        header: what else the ``run`` line carries: data set, hashes, length.
        identity: what the manifest of each of its checkpoints carries.
        threads: BLAS threads used.
        tags: further ones, name -> text.
        restores_best: whether early stopping goes back to its best epoch.
        resume: go on with what the directory holds, if it holds a run.
        start: the checkpoint that it is gone on from.

    Raises:
        NnlabError: there is a run already, another process is at it, or it is no longer the same run.
    """

    def __init__(
        self,
        job: Job,
        directory: Path,
        name: str,
        parent: str | None,
        header: Mapping[str, Any],
        identity: Mapping[str, Any],
        threads: int,
        tags: Mapping[str, str],
        *,
        restores_best: bool = False,
        resume: bool = False,
        start: Snapshot | None = None,
    ) -> None:
        self.job, self.directory, self.name, self.identity = job, directory, name, identity
        self.restores_best = restores_best
        if not resume:
            resuming.check_unused(directory)
        self.best: dict[str, Any] = {}
        """Epoch and metrics of the lowest val/loss."""
        self._best: Snapshot | None = None  # until it is written
        self._restorable: Snapshot | None = None  # of the epoch that early stopping would go back to
        self._last: Snapshot | None = None  # of the run's end
        self.recording_seconds = 0.0
        self.last_epoch = 0
        self.journal = Journal(directory)
        try:
            known = journal.replay(directory)
            data_hash = header["dataset"]["hash"] if "dataset" in header else ""
            tags = {**tags, **run_tags(job, threads, data_hash)}
            resuming.check(known, tags, data_hash)
            self._known, self._known_updates = known.steps, known.updates
            self._written = resuming.tidy(self.journal, known)
            self._begin(known, name, parent, header, threads, tags)
            if start is not None:
                self._go_on(start)
        except BaseException:
            self.journal.release()
            raise

    def epoch(
        self,
        result: EpochResult,
        replica: int,
        snapshot: Callable[[], Snapshot],
        *,
        is_end: bool = False,
        is_failed: bool = False,
        is_auto_due: bool = False,
    ) -> None:
        """Record one epoch of this run, and a checkpoint where one is due.

        Args:
            result: of the whole stack.
            replica: which of it is this run.
            snapshot: gives the run's snapshot after this epoch.
            is_end: the run ends with this epoch, whose checkpoint is left to ``finish``.
            is_failed: its numbers became NaN or Inf: no checkpoint, from which it might be gone on with.
            is_auto_due: it is time for the checkpoints of ``checkpoint.every=auto``.

        Raises:
            NnlabError: the journal of a resumed run has other numbers for this epoch.
        """
        started = time.perf_counter()
        self.last_epoch = result.epoch
        values = {name: float(of_stack[replica]) for name, of_stack in result.metrics.items()}
        for update in result.updates:
            of_update = {"update/loss": update.loss[replica], "update/accuracy": update.accuracy[replica]}
            self._record(self._known_updates, update.step, of_update)
        self._record(self._known, result.epoch, values)
        is_best = values.get("val/loss", np.inf) < self.best.get("val/loss", np.inf)
        if is_best:
            chosen = {name: value for name, value in values.items() if name.startswith(("val/", "test/"))}
            self.best = {"epoch": result.epoch, **chosen}
        is_kept = is_best and self.job.config.checkpoint.every is not None
        is_restorable = self.restores_best and replica in result.improved
        is_due = self._is_due(result.epoch, is_auto_due=is_auto_due) and not (is_end or is_failed)
        if is_kept or is_restorable or is_due or is_end:
            taken = snapshot()
            taken.manifest.update(best=dict(self.best), needs=self._needs(taken.epoch, is_restorable=is_restorable))
            self._best = taken if is_kept else self._best
            self._restorable = taken if is_restorable else self._restorable
            self._last = taken if is_end else None
            if is_due:
                self._checkpoint(taken)
        self.recording_seconds += time.perf_counter() - started

    @property
    def end(self) -> Snapshot:
        """What the run ends with: its last epoch, or the one that early stopping goes back to."""
        assert self._last is not None  # noqa: S101 - the run has ended
        return self._restored or self._last

    @property
    def is_restored(self) -> bool:
        """Whether it ends with an earlier epoch than its last."""
        return self._restored is not None

    def finish(self, final: Mapping[str, float]) -> None:
        """Record the end of training: the last checkpoint and the ``final/*`` and ``best/*`` metrics.

        Args:
            final: of ``end``.
        """
        started = time.perf_counter()
        assert self._last is not None  # noqa: S101 - the run has ended
        last, summary = self._last, dict(final)
        if self._restored is not None:
            last.manifest["restored_epoch"] = summary["final/epoch"] = self._restored.epoch
        if self._best is not None and self._best.epoch == last.epoch:
            self._best = None  # the same arrays, and the last manifest says more
        self._checkpoint(last)
        summary |= {f"best/{name.replace('/', '_')}": value for name, value in self.best.items()}
        self._record(self._known, last.epoch, summary)
        self.recording_seconds += time.perf_counter() - started

    def artifact(self, name: str, write: Callable[[Path], object]) -> None:
        """Make a file of the run with ``write`` and journal it."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        self.journal.write("artifact", path=name)

    def record(self) -> Record:
        """Return what the journal has by now."""
        return journal.read(self.directory)

    def log(self, message: str) -> None:
        """Append to the run's train.log."""
        # Not by way of ``logging``: a stack has many runs, and more files than a process may have open.
        with (self.directory / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {message}\n")

    def save_best(self) -> None:
        """Write the checkpoint of the best epoch so far; between checkpoints it waits in memory."""
        if self._best is not None:
            self._write_checkpoint(self._best)
            self._best = None

    def close(self, status: Status, reason: str | None = None, details: str | None = None) -> None:
        """Close the run; the ``details`` are for its log."""
        try:
            if details:
                self.log(details)
            self.log(f"{status}{f': {reason}' if reason else ''}")
        finally:
            self.journal.close(status, reason)

    def release(self, details: str) -> None:
        """Leave the run as it is, for somebody who goes on with it; the ``details`` are for its log."""
        try:
            self.log(details)
        finally:
            self.journal.release()

    @property
    def _restored(self) -> Snapshot | None:
        is_earlier = self._restorable and self._last and self._restorable.epoch < self._last.epoch
        return self._restorable if is_earlier else None

    def _begin(
        self,
        known: Record,
        name: str,
        parent: str | None,
        header: Mapping[str, Any],
        threads: int,
        tags: Mapping[str, str],
    ) -> None:
        """Write what a run begins with, as far as the journal does not have it."""
        config = self.job.config
        run_id = known.run.get("run_id") or uuid.uuid4().hex
        if known.run:
            again = {"nnlab.resumed": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
            self.journal.write("tags", tags=again if resuming.has_begun(known) else {**again, **tags})
        if not resuming.has_begun(known):
            self.journal.write("run", **run_line(self.job, name, parent, run_id, threads, tags), **header)
        if not known.params:
            used = {**params(config, self.job.choices), "training.blas_threads": threads}
            self.journal.write("params", params=used)
        if "config.yaml" not in known.artifacts:
            text = yaml.safe_dump(config.to_dict(), sort_keys=False)
            self.artifact("config.yaml", lambda path: path.write_text(text, encoding="utf-8"))
        if "environment.json" not in known.artifacts:
            self._describe(
                blas_threads=threads,
                data_hash=header["dataset"]["hash"] if "dataset" in header else None,
                overrides=list(self.job.overrides),
                seed=config.seed,
                run_id=run_id,
            )
        self.log(f"run {name} {'resumed ' if resuming.has_begun(known) else ''}in {self.directory}")

    def _describe(self, **of_run: Any) -> None:
        """Write what it takes to run it again beside the config: the circumstances, and changes not in git."""
        state = checkout.current()
        changes = state.note or ("uncommitted.diff" if state.diff else None) if state else None
        facts = {**environment.facts(), **of_run, "uncommitted": changes}
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        self.artifact("environment.json", lambda path: path.write_text(text, encoding="utf-8"))
        if state and state.diff:
            self.artifact("uncommitted.diff", lambda path: path.write_bytes(state.diff))

    def _go_on(self, start: Snapshot) -> None:
        """Take up where a checkpoint was written."""
        self.best = dict(start.manifest.get("best", {}))
        if self.restores_best and "early_stopping" in start.manifest:
            epoch = start.manifest["early_stopping"]["best_epoch"]
            folder = self.directory / "checkpoints" / checkpoint.name(epoch)
            self._restorable = start if epoch == start.epoch else resuming.load(folder)
        self._last, self.last_epoch = start, start.epoch
        step = int(start.manifest["step"])
        self._known = {epoch: values for epoch, values in self._known.items() if epoch >= start.epoch}
        self._known_updates = {update: values for update, values in self._known_updates.items() if update >= step}
        self.log(f"gone on from epoch {start.epoch}")

    def _record(self, known: _Steps, step: int, values: Mapping[str, float]) -> None:
        """Journal the metrics of a step; those that are ``known`` are compared instead, but for the clock's."""
        had = known.get(step, {})
        for name in values.keys() & had.keys():
            now, before = float(values[name]), had[name]
            if now != before and not (math.isnan(now) and math.isnan(before)) and not name.startswith("time/"):
                raise NnlabError(
                    f"{name} of step {step} is {now!r} now, and {before!r} in the journal: here the run does "
                    "not follow its record, so it can't be gone on with"
                )
        if new := {name: value for name, value in values.items() if name not in had}:
            self.journal.metrics(step, new)

    def _needs(self, epoch: int, *, is_restorable: bool) -> list[int]:
        """Return the epochs whose checkpoints it takes to go on from this one's."""
        needed = set()
        if self.job.config.checkpoint.every is not None and self.best:
            needed.add(int(self.best["epoch"]))
        if self._restorable is not None and not is_restorable:
            needed.add(self._restorable.epoch)
        return sorted(needed - {epoch})

    def _is_due(self, epoch: int, *, is_auto_due: bool) -> bool:
        every = self.job.config.checkpoint.every
        if epoch == 0:
            return True
        return is_auto_due if every == "auto" else every is not None and epoch % every == 0

    def _checkpoint(self, taken: Snapshot) -> None:
        """Write a checkpoint, first those that it needs, and remove what is no longer wanted."""
        self.save_best()
        wanted = {0, taken.epoch, self.best.get("epoch", 0)}
        if self._restorable is not None:
            self._write_checkpoint(self._restorable)
            wanted.add(self._restorable.epoch)
        self._write_checkpoint(taken)
        if self.job.config.checkpoint.keep == "best":
            for epoch in sorted(self._written - wanted):
                self._written.remove(epoch)
                checkpoint.remove(self.directory / "checkpoints" / checkpoint.name(epoch))
                self.journal.write("pruned", path=f"checkpoints/{checkpoint.name(epoch)}")

    def _write_checkpoint(self, taken: Snapshot) -> None:
        epoch = taken.epoch
        if epoch in self._written:
            return
        folder = self.directory / "checkpoints" / checkpoint.name(epoch)
        self.journal.sync()  # or a power cut might leave a checkpoint of epochs that the journal has lost
        checkpoint.write(folder, taken.arrays, {**self.identity, **taken.manifest})
        self._written.add(epoch)
        self.journal.write("artifact", path=f"checkpoints/{checkpoint.name(epoch)}")


def run_tags(job: Job, threads: int, data_hash: str) -> dict[str, str]:
    """Return the tags that every run begins with."""
    return {
        "nnlab.config_hash": job.config.config_hash(threads),
        "nnlab.code_version": code_version(),
        "nnlab.address": address(job.config, threads, data_hash),
        "seed": str(job.config.seed),
        **environment.git_tags(),
    }


def run_line(
    job: Job, name: str, parent: str | None, run_id: str, threads: int, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of a journal's first line."""
    tracking = job.config.tracking
    return {
        "run_id": run_id,
        "name": name,
        "experiment": job.config.experiment_name,
        "parent": parent,
        "user": environment.user(),
        "tracking": tracking.model_dump(exclude={"target"}) if tracking.enabled else None,
        "environment": {**environment.facts(), "blas_threads": threads},
        "overrides": list(job.overrides),
        "tags": dict(tags),
    }
