"""Places: where things go, and whether they can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nnlab.doctor.remark import Remark, trouble


def existing(path: Path) -> Path:
    """Return a path, or what there is of it."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder, as far as that can be said without making one."""
    return os.access(folder, os.W_OK | os.X_OK) and not _is_read_only(folder)


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY) if hasattr(os, "statvfs") else False


def outputs(outputs: Path) -> Iterator[Remark]:
    """Check the outputs root."""
    given = os.environ.get("NNLAB_OUTPUTS")
    origin = f"NNLAB_OUTPUTS={given}" if given else "./outputs, as NNLAB_OUTPUTS is not set"
    there = existing(outputs)
    if not there.is_dir() or not is_writable(there):
        problem = "is no folder" if not there.is_dir() else "can't be written to"
        remedy = "set NNLAB_OUTPUTS to a folder that can be"
        yield trouble("outputs", f"{outputs}, from {origin}: {there} {problem}", remedy)
    else:
        state = "" if there == outputs else "; the first run makes it"
        yield Remark("outputs", f"{outputs}, from {origin}{state}")
    for name in ("runs", "sweeps", "artifacts"):
        folder = outputs / name
        if folder.is_dir() and not is_writable(folder):
            yield trouble("outputs", f"{folder} can't be written to", f"run: chmod u+rwx '{folder}'")


def data(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check the folder of the data sets, which may be read-only if it is there."""
    from nnlab.data import cache

    folder = cache.data_dir()
    given = os.environ.get("NNLAB_DATA_DIR")
    origin = f"NNLAB_DATA_DIR={given}" if given else "the user's cache folder"
    there = existing(folder)
    if not there.is_dir():
        yield trouble("data", f"{folder}, from {origin}: {there} is no folder", "set NNLAB_DATA_DIR to one")
    elif there == folder and not os.access(folder, os.R_OK | os.X_OK):
        yield trouble("data", f"{folder}, from {origin}, can't be read", f"run: chmod u+rx '{folder}'")
    elif there != folder and not is_writable(there):
        text = f"{folder}, from {origin}, is not there and can't be made"
        yield trouble("data", text, "set NNLAB_DATA_DIR to a folder that can be written to")
    else:
        state = "" if is_writable(there) else " (read-only, so nothing can be downloaded into it)"
        yield Remark("data", f"{folder}, from {origin}{state}")
