"""Mirror: brings a run's journal into MLflow, idempotently.

Everything is sent with the journal's own timestamps, and MLflow takes a metric that it has already, with the same
step, time and value, for the same row. So sending again changes nothing, and a tracker that died anywhere is replaced
by one that starts at the last cursor.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException as MlflowException  # for those who call us

from nnlab import attempt, journal, locks
from nnlab.errors import NnlabError
from nnlab.journal import Event
from nnlab.tracking import artifacts, attempts, creation, cursor, entities, store
from nnlab.tracking.attempts import Attempts
from nnlab.tracking.audit import audit
from nnlab.tracking.batch import Batch
from nnlab.tracking.cursor import Cursor
from nnlab.tracking.description import unsent
from nnlab.tracking.elsewhere import Elsewhere
from nnlab.tracking.patience import Patient
from nnlab.tracking.thinning import Thinning

# It says in sixty lines what the error that we get says in its first.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

_MANY = 10_000  # points to send before reading on
_REASON = "nnlab.reason"
_LEVELS = 3  # that a job may lie below its sweep, as hydra.sweep.subdir says


class Mirror:
    """A connection to one store, for the runs of one outputs root.

    Args:
        outputs: the outputs root.
        uri: of the store.

    Raises:
        MlflowException: the store can't be opened.
    """

    def __init__(self, outputs: Path, uri: str) -> None:
        self.outputs, self.uri, self.key = outputs, uri, store.key(uri)
        self.client = creation.open_store(uri)
        self._patient = Patient(self.client) if store.is_server(uri) else None
        if self._patient is not None:
            self.client = cast(MlflowClient, self._patient)
        self._failures: dict[Path, int] = {}  # that the server had when a run was first mirrored
        self._directories: dict[str, Path] = {}  # run id -> where it was first seen
        self._sent: dict[Path, set[str]] = {}  # artifacts of runs that have ended
        self._attempts = Attempts()
        self._parents: dict[str, str] = {}  # run id of a sweep that is recorded elsewhere -> MLflow's
        self.is_follower = False
        """Whether what others are at, or may be, is left to them; else somebody wants it now."""
        self._elsewhere = Elsewhere()

    def run(self, directory: Path, *, verify: bool = False) -> bool:
        """Mirror what a run's journal has by now.

        Args:
            directory: of the run.
            verify: ask the store whether it still has the run, instead of believing the cursor.

        Returns:
            whether the run has ended and is mirrored whole.

        Raises:
            MlflowException: the store refuses or can't be reached; nothing is lost, try again.
            NnlabError: the journal is damaged, or the experiment was deleted.
        """
        try:
            return self._run(directory, verify=verify)
        except NnlabError:
            raise
        except BaseException:  # Ctrl-C too: a run may have been created whose id we never got
            if self._patient is not None:
                with contextlib.suppress(OSError):
                    self._write(directory, cursor.read(directory, self.key))
            raise

    def _run(self, directory: Path, *, verify: bool) -> bool:
        path = directory / journal.NAME
        is_alive = locks.is_locked(path)  # asked first: whoever dies while we read is seen the next time
        header = _header(directory)
        if header is None or header["type"] != "run" or header["tracking"] is None:
            return not is_alive
        first = self._directories.setdefault(header["run_id"], directory)
        if first != directory and (first / journal.NAME).is_file():  # the two would overwrite each other's end
            raise NnlabError(f"{directory} is a copy of {first}, as both have one run id: only the first is mirrored")
        if self.is_follower and not is_alive and attempts.is_abandoned(directory):
            return True
        at = replace(cursor.read(directory, self.key), problem=None)
        at.is_elsewhere = at.is_elsewhere and not is_alive
        if at.is_elsewhere and (is_settled := self._is_done_elsewhere(directory, header, at)) is not None:
            return is_settled
        if self._patient is not None:
            self._failures.setdefault(directory, self._patient.failures)
        if verify:
            at = self._verified(at)
        end = journal.whole_lines(path)
        thinning = Thinning.of(header.get("epochs", 0), header.get("eval_every", 1), header["tracking"]["max_points"])
        if at.status != cursor.DELETED and at.offset >= end and (at.status == "RUNNING") == is_alive:
            if verify and not is_alive and at.is_doubtful:
                self._audit(journal.read(directory), at, thinning)
            return not is_alive
        run = None
        if at.mlflow_run_id is None:
            run = creation.find_or_create(self.client, self.outputs, self.uri, header, self._sweep(directory, header))
            is_deleted = run.info.lifecycle_stage == "deleted"
            self._sent.pop(directory, None)
            status = cursor.DELETED if is_deleted else "RUNNING"
            at = replace(at, offset=0, mlflow_run_id=run.info.run_id, status=status)
            self._write(directory, at)
        if at.status == cursor.DELETED:
            self._write(directory, replace(at, offset=end))
            return not is_alive
        if not is_alive:
            return self._finish(directory, at, thinning, run)
        self._sent.pop(directory, None)
        if at.status != "RUNNING":
            self._resume(at)
            self._write(directory, at)
        self._send_new_lines(directory, at, thinning)
        return False

    def _verified(self, at: Cursor) -> Cursor:
        """Return where to go on, given what has become of the run in the store: lost, deleted, restored."""
        if at.mlflow_run_id is None:
            return at
        try:
            info = creation.get_run(self.client, at.mlflow_run_id).info
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return at if at.status == cursor.DELETED else Cursor(is_doubtful=at.is_doubtful)
        if info.lifecycle_stage == "deleted":
            return replace(at, status=cursor.DELETED)
        return replace(at, offset=0, status="RUNNING") if at.status == cursor.DELETED else at

    def _resume(self, at: Cursor) -> None:
        """Reopen a run that was dead, or is being annotated."""
        run = creation.get_run(self.client, at.mlflow_run_id)  # type: ignore[arg-type]
        self.client.update_run(run.info.run_id, status="RUNNING")
        self._remove_reason(run)
        at.status = "RUNNING"

    def _send_new_lines(self, directory: Path, at: Cursor, thinning: Thinning) -> None:
        batch, offset = Batch(), at.offset
        # A power cut must not take from the journal what the store has: the epochs would be there twice.
        journal.sync(directory / journal.NAME)
        for event, offset in journal.read_events(directory / journal.NAME, at.offset):
            batch.add(event, thinning)
            if len(batch.points) > _MANY:
                self._send(directory, at, batch, offset)
                batch = Batch()
        if offset > at.offset:
            self._send(directory, at, batch, offset)

    def _finish(self, directory: Path, at: Cursor, thinning: Thinning, run: Run | None) -> bool:
        """Send the rest of a run that has ended, and what only the end decides, and close it; say whether it is whole.

        The journal is read once, from its beginning: to read a long one takes longer than to send it.
        """
        at.status = "RUNNING"  # in the cursor, until all is done
        path = directory / journal.NAME
        record, batch = journal.Record(directory), Batch()
        lines: dict[int, list[int]] = {}  # step -> where its metrics begin
        start = offset = 0
        for event, offset in journal.read_events(path):
            record.add(event)
            if event["type"] == "metrics":
                lines.setdefault(event["step"], []).append(start)
            if offset > at.offset:
                batch.add(event, thinning)
                if len(batch.points) > _MANY:
                    self._send(directory, at, batch, offset)
                    batch = Batch()
            start = offset
        if record.status == "RUNNING":  # without a status: dead, unless it has been resumed since we looked
            record = journal.read(directory)
            if record.status == "RUNNING" or journal.whole_lines(path) != offset:
                return False
        batch.points += entities.last_and_best(record, lines, thinning)
        run = run or creation.get_run(self.client, at.mlflow_run_id)  # type: ignore[arg-type]
        batch.tags = unsent(entities.tags(record) | self._kin(record), run.data.tags)
        self._send(directory, at, batch, offset)
        if not record.reason:
            self._remove_reason(run)
        artifacts.send(record, run, self.uri, self._sent.setdefault(directory, set()))
        self.client.set_terminated(run.info.run_id, record.status, record.ended)
        if self._patient is not None:  # a proxy may answer that all is well, and pass nothing on
            self._audit(record, at, thinning)
        at.status = record.status
        self._write(directory, at)
        del self._sent[directory]
        return True

    def _audit(self, record: journal.Record, at: Cursor, thinning: Thinning) -> None:
        assert at.mlflow_run_id is not None  # noqa: S101 - it has been mirrored
        tags = entities.tags(record) | self._kin(record)
        audit(self.client, at.mlflow_run_id, record, tags, thinning, self.uri)

    def _is_doubtful(self, directory: Path, at: Cursor) -> bool:
        """Say whether the server has failed since this run was first mirrored."""
        if self._patient is None:
            return False
        return at.is_doubtful or self._patient.failures > self._failures.get(directory, 0)

    def _write(self, directory: Path, at: Cursor) -> None:
        at.is_doubtful = self._is_doubtful(directory, at)
        cursor.write(directory, self.key, at)

    def _send(self, directory: Path, at: Cursor, batch: Batch, offset: int) -> None:
        assert at.mlflow_run_id is not None  # noqa: S101 - set before anything is sent
        if own := attempt.of(directory):
            if self._attempts.claim(self.client, at.mlflow_run_id, directory, own, at.attempt):
                at.attempt = own
                self._write(directory, at)
            batch.points = self._attempts.lacking(self.client, at.mlflow_run_id, directory, batch.points)
        batch.send(self.client, at.mlflow_run_id, self.uri)
        at.offset = offset
        self._write(directory, at)

    def _is_done_elsewhere(self, directory: Path, header: Event, at: Cursor) -> bool | None:
        """Say whether the tracker where a run was trained has mirrored it; None if it is to be done here."""
        if self.is_follower and not self._elsewhere.may_ask():
            return False
        record = journal.read(directory)
        found = self._elsewhere.done(self.client, header, record)
        if found is not None:
            whole = journal.whole_lines(directory / journal.NAME)
            at = replace(at, offset=whole, mlflow_run_id=found, status=record.status, is_elsewhere=False)
            self._write(directory, at)  # from now on it is ours: what is annotated here, nobody else would send
            return True
        if self.is_follower and not self._elsewhere.is_silent():
            return False
        at.is_elsewhere = False
        return None

    def _remove_reason(self, run: Run) -> None:
        if _REASON in run.data.tags:  # it was killed once, and resumed
            self.client.delete_tag(run.info.run_id, _REASON)

    def _kin(self, record: journal.Record) -> dict[str, str]:
        """Return the tags by which a sweep and its runs know each other, whichever came first."""
        tags = {}
        if sweep := self._sweep(record.directory, record.run):
            tags["mlflow.parentRunId"] = sweep
        if best := record.tags.get("nnlab.best_child_directory"):
            child = record.directory / best
            is_ours = child.resolve().is_relative_to(self.outputs.resolve())
            if is_ours and (child_id := self._mirrored(child, verify=True)):
                tags["nnlab.best_child_mlflow_id"] = child_id
        return tags

    def _sweep(self, directory: Path, header: Event) -> str | None:
        """Return what the sweep that a run belongs to is in the store."""
        if not header["parent"]:
            return None
        for folder in directory.parents[:_LEVELS]:
            with contextlib.suppress(NnlabError):  # which will be said of that one
                above = _header(folder) if (folder / journal.NAME).is_file() else None
                if above is not None and above.get("run_id") == header["parent"]:
                    return self._mirrored(folder)
        if header["parent"] not in self._parents:  # recorded elsewhere
            found = creation.known(self.client, header["experiment"], header["parent"])
            if found is None:
                return None
            self._parents[header["parent"]] = found.info.run_id
        return self._parents[header["parent"]]

    def _mirrored(self, directory: Path, *, verify: bool = False) -> str | None:
        """Return what the run of a directory is in the store, mirroring it first if need be."""
        at = cursor.read(directory, self.key)
        if verify:
            at = self._verified(at)
        if at.mlflow_run_id is None and (directory / journal.NAME).is_file():
            with contextlib.suppress(NnlabError):  # which will be said of that run, and is no matter of this one's
                self.run(directory, verify=True)
            at = cursor.read(directory, self.key)
        return at.mlflow_run_id


def _header(directory: Path) -> Event | None:
    return next((event for event, _ in journal.read_events(directory / journal.NAME)), None)
