"""Past: what is known of a run that has ended."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnlab import checkpoint, journal, paths
from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.reproduction import circumstances
from nnlab.tracking import cursor, store

Steps = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Past:
    """A run that has ended.

    Attributes:
        shown: where it was found, for people.
        directory: with its config.yaml and checkpoints; a temporary one if it came from a store.
        is_local: the directory is the run's own.
        is_tracked: it is, or is to be, in a store.
        run_id: nnlab's; empty if it is not known.
        mlflow_run_id: the store's; None if it is not known.
        name: for people.
        status: FINISHED, FAILED or KILLED.
        reason: of FAILED or KILLED, or why it ended early.
        params: as recorded.
        overrides: of its command line.
        epochs: epoch -> metrics, without times.
        updates: update -> metrics.
        summary: ``final/*`` and ``best/*``.
        manifests: epoch -> manifest of that checkpoint.
        circumstances: see ``circumstances.recorded``.
        data_hash: None if it is not known.
        commit: of its code, with a word if it had uncommitted changes; None if it is not known.
        config_hash: of the config that it was trained with; None if it is not known.
        last: its last epoch.
    """

    shown: str
    directory: Path
    is_local: bool
    is_tracked: bool
    run_id: str
    mlflow_run_id: str | None
    name: str
    status: str
    reason: str | None
    params: Mapping[str, Any]
    overrides: tuple[str, ...]
    epochs: Steps
    updates: Steps
    summary: dict[str, float]
    manifests: dict[int, dict[str, Any]]
    circumstances: dict[str, str | None]
    data_hash: str | None
    commit: str | None
    config_hash: str | None = None
    last: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "last", max(self.epochs))

    @property
    def has_diverged(self) -> bool:
        """Whether it FAILED because its numbers became NaN or Inf, as it would again."""
        return self.status == "FAILED" and bool(re.match(r"epoch \d+: NaN or Inf in ", self.reason or ""))

    @property
    def was_cut_short(self) -> bool:
        """Whether something from outside ended it, which a new run does not meet."""
        return self.status == "KILLED" or (self.status == "FAILED" and not self.has_diverged)

    @property
    def final_epoch(self) -> int | None:
        """The epoch whose network it ended with, as a checkpoint; None if there is none such."""
        if self.status != "FINISHED" or self.last not in self.manifests:
            return None
        epoch: int = self.manifests[self.last].get("restored_epoch", self.last)
        return epoch if epoch in self.manifests else None

    def folder(self, epoch: int) -> Path:
        """Return where the checkpoint of an epoch is."""
        return self.directory / "checkpoints" / checkpoint.name(epoch)


def of_directory(directory: Path) -> Past:
    """Read a past run from its directory.

    Raises:
        NnlabError: as for ``lookup.find``.
    """
    with readable(directory):
        record = journal.read(directory)
        run = record.run
        if not run:
            raise NnlabError(f"{directory}: its journal has no beginning, so it is not known what was run")
        if "nnlab.kind" in run.get("tags", {}):  # only sweeps have one
            children = sorted((path.parent for path in directory.glob(f"*/{journal.NAME}")), key=_by_number)
            some = f", such as {children[0]}" if children else "; it has none"
            raise NnlabError(f"{directory} is a sweep: reproduce its runs one by one{some}")
        if record.status == "RUNNING":
            raise NnlabError(f"{directory} is still RUNNING: wait until it has ended")
        if not os.path.lexists(directory / "config.yaml"):
            raise NnlabError(f"{directory} has no config.yaml: the run was killed before it began")
        epochs, summary = divided(record.steps)
        is_tracked = bool(run["tracking"])
        found = cursor.read(directory, store.key(store.uri(paths.outputs_dir()))).mlflow_run_id if is_tracked else None
        return Past(
            shown=str(directory),
            directory=directory,
            is_local=True,
            is_tracked=is_tracked,
            run_id=one_line(str(run["run_id"]))[:100],
            mlflow_run_id=found,
            name=one_line(str(run["name"]))[:250],
            status=record.status,
            reason=None if record.reason is None else str(record.reason),
            params=record.params,
            overrides=tuple(str(override) for override in run.get("overrides", ())),
            epochs=epochs,
            updates=_updates(directory / journal.NAME),
            summary=summary,
            manifests=manifests_in(directory),
            circumstances=circumstances.recorded(directory, run, record.params.get("training.blas_threads")),
            data_hash=run.get("dataset", {}).get("hash"),
            commit=commit_of(run.get("tags", {})),
            config_hash=run.get("tags", {}).get("nnlab.config_hash"),
        )


@contextmanager
def readable(where: Path) -> Iterator[None]:
    """Say in one line that a record, which is somebody else's data, is not what nnlab writes."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, csv.Error) as error:
        raise NnlabError(f"{where}: its record is damaged ({type(error).__name__}: {str(error)[:200]!r})") from error


def _by_number(directory: Path) -> tuple[int, str]:
    return len(directory.name), directory.name


def commit_of(tags: Mapping[str, str]) -> str | None:
    """Return the commit of a run's code for people, and whether there were changes."""
    commit = tags.get("mlflow.source.git.commit")
    is_dirty = tags.get("nnlab.git_dirty") == "true"
    return f"{commit} with the changes in uncommitted.diff" if commit and is_dirty else commit


def is_summary(name: str) -> bool:
    """Say whether a metric stands once for a run."""
    return name.startswith(("final/", "best/"))


def divided(steps: Steps) -> tuple[Steps, dict[str, float]]:
    """Return the epochs' metrics, and what stands once."""
    epochs: Steps = {}
    summary: dict[str, float] = {}
    for step, values in steps.items():
        if not isinstance(step, int):
            raise TypeError(f"epoch {step!r}")
        summary |= {name: value for name, value in values.items() if is_summary(name)}
        epochs[step] = {
            name: value for name, value in values.items() if not (is_summary(name) or name.startswith("time/"))
        }
    if not epochs:
        raise NnlabError("the run has recorded no epoch, so there is nothing to compare with")
    return epochs, summary


def _updates(path: Path) -> Steps:
    return {
        int(event["step"]): {name: float(value) for name, value in event["metrics"].items()}
        for event, _ in journal.read_events(path)
        if event["type"] == "metrics" and any(name.startswith("update/") for name in event["metrics"])
    }


def manifests_in(directory: Path) -> dict[int, dict[str, Any]]:
    """Return every checkpoint's manifest; the arrays are looked at where they are needed."""
    found = {}
    for path in directory.glob("checkpoints/epoch-*"):
        digits = path.name.removeprefix("epoch-")
        if not digits.isdecimal() or path.name != checkpoint.name(int(digits)):
            continue
        found[int(digits)] = checkpoint.read_manifest(path)
        if found[int(digits)].get("epoch") != int(digits):
            raise NnlabError(f"{path} is damaged: its manifest is that of another epoch")
    return found
