"""The circumstances of a run: source revision, threads, versions."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from nnlab import paths


@functools.cache
def git_tags() -> dict[str, str]:
    """Return the git commit and dirty flag as MLflow tags: of nnlab's checkout, else of the current directory.

    Outside a git repository, or without git, there are none.
    """
    checkout = paths.conf_dir().parent
    directory = checkout if (checkout / ".git").exists() else Path.cwd()
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return {}
    dirty = bool(_git(directory, "status", "--porcelain", "--untracked-files=no"))
    return {"mlflow.source.git.commit": commit, "nnlab.git_dirty": str(dirty).lower()}


def user() -> str:
    """Return the name of who runs us; a user id where a container knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers may depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(f"{pool['internal_api']} {pool['version']}" for pool in _blas_pools()),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


@contextmanager
def blas_threads(threads: int | None) -> Iterator[int]:
    """Cap NumPy's BLAS threads inside the block (None: leave them), and give the number that is used."""
    with threadpool_limits(threads, user_api="blas"):
        yield max((int(pool["num_threads"]) for pool in _blas_pools()), default=1)


def _blas_pools() -> list[dict[str, Any]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
