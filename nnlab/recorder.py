"""Recorder: keeps one run's record while it trains: journal, checkpoints, plots."""

from __future__ import annotations

import csv
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from nnlab import checkout, checkpoint, environment
from nnlab.compose import Job
from nnlab.config import params
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.history_csv import write_history
from nnlab.journal import NAME, Journal, Status, whole_lines
from nnlab.training import EpochResult

log = logging.getLogger(__name__)

AUTO_SECONDS = 30.0
"""``checkpoint.every=auto``: the time between two checkpoints."""

Snapshot = Callable[[], tuple[dict[str, NDArray[Any]], dict[str, Any]]]


class Recorder:
    """The record of one run, from the moment its directory is there until it is closed.

    Args:
        job: what is run.
        directory: the run's own.
        name: of the run, for people.
        parent: run id of the sweep it belongs to.
        header: what else the ``run`` line carries: data set, hashes, length.
        identity: what the manifest of each of its checkpoints carries.
        threads: BLAS threads used.
        tags: further ones, name -> text.
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
    ) -> None:
        self.job, self.directory, self.name, self.identity = job, directory, name, identity
        if (directory / NAME).exists() and whole_lines(directory / NAME):
            raise NnlabError(f"{directory} holds a run already; a run needs a directory of its own")
        self.journal = Journal(directory)
        self.steps: dict[int, dict[str, float]] = {}
        self.updates: list[tuple[int, float, float]] = []
        """Step, loss and accuracy of each recorded update."""
        self.best: dict[str, Any] = {}
        self._best_arrays: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None = None
        self._written: list[int] = []
        self._last_checkpoint = time.monotonic()
        self.recording_seconds = 0.0
        config, run_id = job.config, uuid.uuid4().hex
        self.journal.write(
            "run",
            run_id=run_id,
            name=name,
            experiment=config.experiment_name,
            parent=parent,
            user=environment.user(),
            tracking=config.tracking.model_dump(exclude={"target"}) if config.tracking.enabled else None,
            environment={**environment.facts(), "blas_threads": threads},
            overrides=list(job.overrides),
            tags={
                **tags,
                "nnlab.config_hash": config.config_hash(threads),
                "nnlab.code_version": code_version(),
                "seed": str(config.seed),
                **environment.git_tags(),
            },
            **header,
        )
        used = {**params(config, job.choices), "training.blas_threads": threads}
        self.journal.write("params", params=used)
        text = yaml.safe_dump(config.to_dict(), sort_keys=False)
        self.artifact("config.yaml", lambda path: path.write_text(text, encoding="utf-8"))
        self._describe(
            blas_threads=threads,
            data_hash=header["dataset"]["hash"],
            overrides=list(job.overrides),
            seed=config.seed,
            run_id=run_id,
        )
        log.info("run %s in %s", name, directory)

    def epoch(self, result: EpochResult, replica: int, snapshot: Snapshot, *, is_end: bool = False) -> None:
        """Record one epoch of this run, and a checkpoint where one is due.

        Args:
            result: of the whole stack.
            replica: which of it is this run.
            snapshot: gives copies of the run's arrays, and the manifest's entries.
            is_end: the run ends with this epoch, whose checkpoint is left to ``finish``.
        """
        started = time.perf_counter()
        values = {name: float(of_stack[replica]) for name, of_stack in result.metrics.items()}
        for update in result.updates:
            loss, accuracy = float(update.loss[replica]), float(update.accuracy[replica])
            self.journal.metrics(update.step, {"update/loss": loss, "update/accuracy": accuracy})
            self.updates.append((update.step, loss, accuracy))
        self.journal.metrics(result.epoch, values)
        self.steps[result.epoch] = values
        is_best = values.get("val/loss", np.inf) < self.best.get("val/loss", np.inf)
        if is_best:
            chosen = {name: value for name, value in values.items() if name.startswith(("val/", "test/"))}
            self.best = {"epoch": result.epoch, **chosen}
        keep_best = is_best and self.job.config.checkpoint.every is not None
        is_due = self._is_due(result.epoch) and not is_end
        if keep_best or is_due:
            arrays, manifest = snapshot()
            if keep_best:
                self._best_arrays = arrays, {**manifest, "best": dict(self.best)}
            if is_due:
                self._checkpoint(arrays, manifest)
        self.recording_seconds += time.perf_counter() - started

    def finish(
        self,
        final: Mapping[str, float],
        last: tuple[dict[str, NDArray[Any]], dict[str, Any]],
        restored: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None = None,
    ) -> None:
        """Record the end of training: the last checkpoint and the ``final/*`` and ``best/*`` metrics.

        Args:
            final: of the network that the run ends with.
            last: arrays and manifest of the last epoch.
            restored: those of the epoch that early stopping goes back to; the last manifest then names it.
        """
        started = time.perf_counter()
        (arrays, manifest), summary = last, dict(final)
        if restored is not None:
            manifest = {**manifest, "restored_epoch": restored[1]["epoch"]}
            summary["final/epoch"] = restored[1]["epoch"]
        if self._best_arrays is not None and self._best_arrays[1]["epoch"] == manifest["epoch"]:
            self._best_arrays = None  # the same arrays, and the last manifest says more
        self._checkpoint(arrays, manifest)
        if restored is not None:
            self._write_checkpoint(restored[0], {**restored[1], "best": dict(self.best)})
        summary |= {f"best/{name.replace('/', '_')}": value for name, value in self.best.items()}
        self.journal.metrics(manifest["epoch"], summary)
        self.recording_seconds += time.perf_counter() - started

    def artifact(self, name: str, write: Callable[[Path], object]) -> None:
        """Make a file of the run with ``write`` and journal it."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        self.journal.write("artifact", path=name)

    def history(self, path: Path) -> None:
        """Write every epoch's metrics as CSV, a row an epoch."""
        write_history(path, self.steps)

    def updates_csv(self, path: Path) -> None:
        """Write the recorded updates as CSV, a row an update; ``history.csv`` has epochs only."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", "loss", "accuracy"])
            writer.writerows(self.updates)

    def save_best(self) -> None:
        """Write the checkpoint of the best epoch so far; between checkpoints it waits in memory."""
        if self._best_arrays is not None:
            self._write_checkpoint(*self._best_arrays)
            self._best_arrays = None

    def close(self, status: Status, reason: str | None = None) -> None:
        """Close the run."""
        log.info("%s%s", status, f": {reason}" if reason else "")
        self.journal.close(status, reason)

    def _describe(self, **of_run: Any) -> None:
        """Write what it takes to run it again beside the config: the circumstances, and changes not in git."""
        state = checkout.current()
        changes = state.note or ("uncommitted.diff" if state.diff else None) if state else None
        facts = {**environment.facts(), **of_run, "uncommitted": changes}
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        self.artifact("environment.json", lambda path: path.write_text(text, encoding="utf-8"))
        if state and state.diff:
            self.artifact("uncommitted.diff", lambda path: path.write_bytes(state.diff))

    def _is_due(self, epoch: int) -> bool:
        every = self.job.config.checkpoint.every
        if epoch == 0:
            return True
        if every == "auto":
            return time.monotonic() - self._last_checkpoint > AUTO_SECONDS
        return every is not None and epoch % every == 0

    def _checkpoint(self, arrays: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
        """Write a checkpoint, the best one so far as well, and remove those that are no longer wanted."""
        self._last_checkpoint = time.monotonic()
        self.save_best()
        self._write_checkpoint(arrays, {**manifest, "best": dict(self.best)})
        wanted = {0, manifest["epoch"], self.best.get("epoch", 0), manifest.get("restored_epoch", 0)}
        if self.job.config.checkpoint.keep == "best":
            for epoch in [epoch for epoch in self._written if epoch not in wanted]:
                self._written.remove(epoch)
                checkpoint.remove(self.directory / "checkpoints" / checkpoint.name(epoch))
                self.journal.write("pruned", path=f"checkpoints/{checkpoint.name(epoch)}")

    def _write_checkpoint(self, arrays: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
        epoch = manifest["epoch"]
        if epoch in self._written:
            return
        folder = self.directory / "checkpoints" / checkpoint.name(epoch)
        checkpoint.write(folder, arrays, {**self.identity, **manifest})
        self._written.append(epoch)
        self.journal.write("artifact", path=f"checkpoints/{checkpoint.name(epoch)}")
