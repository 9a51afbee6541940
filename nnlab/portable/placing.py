"""Placing: checked files go to their places, a run's journal last, and a second time completes what was broken off.

A folder that isn't there yet is renamed as a whole. Into one that is, files go one by one, and the journal last: who is
killed before leaves a run that is as it was, but for files that its journal doesn't speak of yet.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from nnlab import atomic_file, checkpoint, journal
from nnlab.errors import NnlabError
from nnlab.journal import Journal

Sync = Callable[[Path], object]


def put(staged: Path, target: Path, sync: Sync = atomic_file.sync_directory) -> None:
    """Bring a file or a folder to its place; in a folder that is there, what is not in the other one stays.

    Args:
        staged: what is checked; gone afterwards, but for folders.
        target: the place.
        sync: is called with each folder that has got new names.

    Raises:
        NnlabError: a process has begun to write a journal that was to be extended.
        OSError: the file system refuses.
    """
    if not os.path.lexists(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _move(staged, target, sync)
        sync(target.parent)
    elif staged.is_dir():
        _put_all(staged, target, sync)
    elif target.name == journal.NAME:
        _extend(target, staged)
    else:
        _move(staged, target, sync)


def remove_pruned(target: Path) -> None:
    """Remove the checkpoints that a run's journal says are removed.

    Args:
        target: directory of the run.
    """
    root = target / "checkpoints"
    if root.is_symlink():
        return
    gone = [root / checkpoint.name(epoch) for epoch in checkpoint.epochs(root)]
    pruned = journal.replay(target).pruned
    for folder in gone:
        if f"{root.name}/{folder.name}" in pruned:
            checkpoint.remove(folder)


def sync_all() -> None:
    """Bring all that was staged onto the disk: file by file takes a hundred times as long."""
    if hasattr(os, "sync"):  # not on Windows
        os.sync()


def _put_all(staged: Path, target: Path, sync: Sync) -> None:
    """Bring what is in a folder into another one, the journal last."""
    inside = sorted(staged.iterdir(), key=lambda path: (path.name == journal.NAME, path.name))
    for each in inside:
        if each.name == journal.NAME:
            sync(target)
        put(each, target / each.name, sync)
    if inside:
        sync(target)


def _move(staged: Path, target: Path, sync: Sync) -> None:
    """Rename, or, onto another file system, copy."""
    try:
        staged.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if staged.is_dir():
            target.mkdir()
            _put_all(staged, target, sync)
            return
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with staged.open("rb") as source, temporary.open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _extend(target: Path, staged: Path) -> None:
    """Append to a journal what a longer copy of it still has, under its lock."""
    log = Journal(target.parent)
    try:
        end = target.stat().st_size
        with target.open("rb") as ours, staged.open("rb") as longer:
            while piece := ours.read(1 << 20):
                if piece != longer.read(len(piece)):
                    raise NnlabError(f"{target.parent} has been gone on with meanwhile: nothing was added to it")
            longer.seek(end)
            log.extend(longer)
        log.sync()
    finally:
        log.release()
