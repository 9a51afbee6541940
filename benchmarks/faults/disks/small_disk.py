"""Small disk: a file system of some kilobytes in the place of a folder, which can be filled, made larger, or read-only.

It takes the right to mount, which a container's root does not always have.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@functools.cache
def is_allowed() -> bool:
    """Say whether we may mount."""
    with tempfile.TemporaryDirectory(prefix="nnlab-mount-") as folder:
        try:
            with mounted(Path(folder), 64):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def mounted(folder: Path, kilobytes: int) -> Iterator[None]:
    """Put a file system of so many kilobytes in the place of a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "nnlab-small-disk", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def change(folder: Path, options: str) -> None:
    """Change a mounted file system: ``size=64m``, ``ro``."""
    _mount("-o", f"remount,{options}", str(folder))


def fill(folder: Path, left: int) -> Path:
    """Fill the file system that a folder is on, but for so many kilobytes; return the file that does it."""
    state = os.statvfs(folder)
    filler = folder / ".filler"
    filler.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - 1024 * left)))
    return filler


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, capture_output=True)
