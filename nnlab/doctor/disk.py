"""Disk: room for what is to be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nnlab.data import cache
from nnlab.doctor.places import existing
from nnlab.doctor.remark import Remark, trouble

LEAST_BYTES, LEAST_FILES = 1_000_000_000, 10_000
"""Free: a sweep of a thousand small runs takes half of each."""


def space(outputs: Path) -> Iterator[Remark]:
    """Check free space and, where the file system counts them, free inodes."""
    shown: dict[int, str] = {}
    for what, path in (("outputs", outputs), ("data sets", cache.data_dir()), ("temporary files", _temporary())):
        if path is None:
            yield trouble("disk", "there is no folder for temporary files", "set TMPDIR to one that can be written to")
            continue
        there = existing(path)
        free, files = shutil.disk_usage(there).free, _free_files(there)
        if free < LEAST_BYTES:
            text = f"only {free / 1e6:,.0f} MB are free for {what} on the disk of {there}"
            yield trouble("disk", text, "delete what isn't needed, or set another folder")
        elif files is not None and files < LEAST_FILES:
            text = f"only {files:,} more files fit on the disk of {there}, for {what}"
            yield trouble("disk", text, "delete folders with many small files, or set another folder")
        else:
            shown.setdefault(there.stat().st_dev, f"{free / 1e9:,.1f} GB free for {what}")
    if shown:
        yield Remark("disk", ", ".join(shown.values()))


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _free_files(folder: Path) -> int | None:
    state = os.statvfs(folder) if hasattr(os, "statvfs") else None
    return state.f_favail if state and state.f_files else None
