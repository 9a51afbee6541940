"""Recorder: keeps one run's record while it trains: journal, checkpoints, log."""

from __future__ import annotations

import contextlib
import json
import math
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from nnlab import atomic_file, checkout, environment, journal, journal_lines, resuming
from nnlab.compose import Job
from nnlab.config import params
from nnlab.errors import NnlabError, describe, naming
from nnlab.journal import Journal, Record, Status
from nnlab.kept_checkpoints import KeptCheckpoints
from nnlab.run_header import run_line, run_tags
from nnlab.snapshot import Snapshot
from nnlab.training import EpochResult
from nnlab.watcher import Outcome

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
        writer: a thread that writes checkpoints.
        run_id: of a run that is begun; by default a new one.
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
        writer: Executor,
        *,
        run_id: str | None = None,
        restores_best: bool = False,
        resume: bool = False,
        start: Snapshot | None = None,
    ) -> None:
        self.job, self.directory, self.name = job, directory, name
        if not resume:
            resuming.check_unused(directory)
        self.recording_seconds = 0.0
        self.last_epoch = 0
        self.journal = Journal(directory)
        try:
            known = journal.replay(directory)
            data_hash = header["dataset"]["hash"] if "dataset" in header else ""
            tags = {**tags, **run_tags(job, threads, data_hash)}
            if known.status == "FINISHED" and resume:
                raise NnlabError(f"{directory} was finished by another process meanwhile: nothing to do")
            if known.run and not resume:  # begun and ended since we looked
                raise NnlabError(f"{directory} holds a run already; a run needs a directory of its own")
            resuming.check(known, tags, data_hash)
            if self.journal.torn:
                self.log(journal_lines.describe_torn(self.journal.path, self.journal.torn))
            self._known, self._known_updates = known.steps, known.updates
            whole = resuming.tidy(self.journal, known, start.epoch if start else -1, self.log)
            self.checkpoints = KeptCheckpoints(
                directory, self.journal, job.config.checkpoint, identity, whole, writer, restores_best=restores_best
            )
            self._begin(known, name, run_id or uuid.uuid4().hex, parent, header, threads, tags)
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
        self.checkpoints.epoch(
            result.epoch,
            values,
            snapshot,
            is_improved=replica in result.improved,
            is_end=is_end,
            is_failed=is_failed,
            is_auto_due=is_auto_due,
        )
        self.recording_seconds += time.perf_counter() - started

    def finish(self, final: Mapping[str, float]) -> None:
        """Record the end of training: the ``final/*`` and ``best/*`` metrics and, see ``wait``, the last checkpoint.

        Args:
            final: of what the run ends with.
        """
        started = time.perf_counter()
        kept, summary = self.checkpoints, dict(final)
        kept.finish()
        if kept.is_restored:
            summary["final/epoch"] = kept.end.epoch
        summary |= {f"best/{name.replace('/', '_')}": value for name, value in kept.best.items()}
        self._record(self._known, self.last_epoch, summary)
        self.recording_seconds += time.perf_counter() - started

    def wait(self) -> None:
        """Wait until the checkpoints are on the disk.

        Raises:
            OSError: the file system refuses one.
        """
        started = time.perf_counter()
        self.checkpoints.wait()
        self.recording_seconds += time.perf_counter() - started

    def artifact(self, name: str, write: Callable[[Path], object]) -> None:
        """Make a file of the run with ``write`` and journal it.

        Raises:
            OSError: the file system refuses; it names the file, of which no half is left behind.
        """
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        try:
            with naming(path):
                write(path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        self.journal.write("artifact", path=name)

    def record(self) -> Record:
        """Return what the journal has by now."""
        return journal.read(self.directory)

    def log(self, message: str) -> None:
        """Append to the run's train.log."""
        # Not by way of ``logging``: a stack has many runs, and more files than a process may have open.
        path = self.directory / LOG
        with naming(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {message}\n")

    def close(
        self,
        status: Status,
        reason: str | None = None,
        details: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Close the run, whatever the file system says.

        Args:
            status: to be recorded.
            reason: likewise.
            details: for its log.
            tags: last ones, name -> text.

        Returns:
            how it ended: FAILED, if anything could not be recorded.
        """
        try:
            self.checkpoints.wait()
        except Exception as error:
            details = f"{details or ''}{traceback.format_exc()}"
            if status == "FINISHED":
                status, reason = "FAILED", describe(error)
        try:
            if details:
                self.log(details)
            self.log(f"{status}{f': {reason}' if reason else ''}")
        except OSError as error:
            if status == "FINISHED":
                status, reason = "FAILED", describe(error)
        try:
            self.journal.close(status, reason, tags)
        except OSError as error:
            problem = f"its end could not be recorded ({describe(error)})"
            return Outcome("FAILED", f"{reason}; {problem}" if reason else problem)
        return Outcome(status, reason)

    def release(self, details: str) -> None:
        """Leave the run as it is, for somebody who goes on with it; the ``details`` are for its log."""
        try:
            self.checkpoints.wait()
        except Exception:
            details += traceback.format_exc()
        with contextlib.suppress(OSError):
            self.log(details)
        self.journal.release()

    def _begin(
        self,
        known: Record,
        name: str,
        new_id: str,
        parent: str | None,
        header: Mapping[str, Any],
        threads: int,
        tags: Mapping[str, str],
    ) -> None:
        """Write what a run begins with, as far as the journal does not have it."""
        config = self.job.config
        run_id = known.run.get("run_id") or new_id
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
            self.artifact("config.yaml", lambda path: atomic_file.write(path, text.encode()))
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
        self.artifact("environment.json", lambda path: atomic_file.write(path, text.encode()))
        if state and state.diff:
            self.artifact("uncommitted.diff", lambda path: path.write_bytes(state.diff))

    def _go_on(self, start: Snapshot) -> None:
        """Take up where a checkpoint was written."""
        self.checkpoints.go_on(start)
        self.last_epoch = start.epoch
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
