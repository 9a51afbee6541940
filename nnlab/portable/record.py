"""Record: what of a run's or a sweep's directory is its record, and goes with it wherever it goes.

All but what is of this machine alone: see ``names.is_local``. Nothing is rewritten on the way, for a record that is
changed is none; the paths that Hydra's part and the log mention are those of the machine that trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnlab import journal, journal_lines, locks
from nnlab.errors import NnlabError
from nnlab.journal import Event
from nnlab.portable import names

_NOT_JOURNALLED = (journal.NAME, "train.log", "history.csv", "updates.csv", "sweep.json", "multirun.yaml")
_NOT_JOURNALLED_FOLDERS = (".hydra", journal.DAMAGED)


@dataclass(frozen=True)
class Record:
    """One run, or a sweep without its runs.

    Attributes:
        directory: where it is.
        header: the first line of its journal.
    """

    directory: Path
    header: Event

    @property
    def kind(self) -> Literal["run", "sweep"]:
        """Which of the two."""
        return "sweep" if "jobs" in self.header else "run"

    @property
    def run_id(self) -> str:
        """Ours, not MLflow's."""
        return str(self.header["run_id"])

    def status(self) -> Literal["FINISHED", "FAILED", "KILLED"]:
        """Return how it ended; nobody must be writing it."""
        _, last = journal_lines.last(self.directory / journal.NAME)
        ended = last["status"] if last is not None and last["type"] == "status" else None
        return ended if ended in ("FINISHED", "FAILED") else "KILLED"

    def files(self) -> Iterator[Path]:
        """Yield its files, without those of the runs that a sweep consists of.

        Raises:
            NnlabError: something in it is neither a file nor a folder.
        """
        yield from _files(self.directory, is_record=True)


def of(directory: Path) -> Record | None:
    """Return the record in a directory; None if there is none, or none that has begun.

    Raises:
        NnlabError: its journal is damaged.
    """
    path = directory / journal.NAME
    if not path.is_file():
        return None
    header = next((event for event, _ in journal.read_events(path)), None)
    return Record(directory, header) if header is not None and header["type"] == "run" else None


def below(directory: Path) -> list[Record]:
    """Return a record and those within it, a sweep's runs; nothing where there are none.

    Raises:
        NnlabError: a journal is damaged.
    """
    own = of(directory)
    found = [own] if own is not None else []
    for entry in _entries(directory):
        if entry.is_dir(follow_symlinks=False):
            found += below(Path(entry.path))
    return found


def check_at_rest(directory: Path) -> None:
    """Refuse a record that a process is writing.

    Raises:
        NnlabError: one is.
    """
    path = directory / journal.NAME
    if locks.is_locked(path):
        pid = locks.holder(path)
        by = f" (pid {pid})" if pid else ""
        raise NnlabError(f"{directory} is at work in another process{by}: wait until it has ended, or end it")


def is_own(name: str, record: journal.Record) -> bool:
    """Say whether a file of a run's directory was put there by nnlab, and not by somebody beside it.

    Args:
        name: of the file, seen from the directory.
        record: what the journal says.
    """
    above = [name[:end] for end in range(len(name)) if name[end] == "/"]
    known = {*record.artifacts, *record.pruned}
    is_known = name in _NOT_JOURNALLED or name in known or any(folder in known for folder in above)
    return is_known or name.partition("/")[0] in _NOT_JOURNALLED_FOLDERS


def _files(folder: Path, *, is_record: bool) -> Iterator[Path]:
    for entry in _entries(folder):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if of(path) is None:
                yield from _files(path, is_record=False)
        elif not entry.is_file(follow_symlinks=False):
            kind = "a symbolic link" if entry.is_symlink() else "no regular file"
            raise NnlabError(f"{path} is {kind}, and an archive holds files and folders alone: remove it, or move it")
        elif is_record or entry.name != journal.NAME:  # of a job that has not begun
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((each for each in entries if not names.is_local(each.name)), key=lambda each: each.name)
