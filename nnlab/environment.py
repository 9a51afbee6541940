"""The circumstances of a run: machine, versions, threads, source revision."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from nnlab import checkout
from nnlab.hashing import code_version

_PASSWORD = re.compile(r"(://[^/?#@\s:]*:|[?&]\w*password=)[^@&]*(@|&|$)", re.IGNORECASE)


def git_tags() -> dict[str, str]:
    """Return the git commit and dirty flag as MLflow tags; outside a git repository, or without git, none."""
    state = checkout.current()
    if state is None:
        return {}
    dirty = {} if state.dirty is None else {"nnlab.git_dirty": str(state.dirty).lower()}
    return {"mlflow.source.git.commit": state.commit, **dirty}


def user() -> str:
    """Return the name of who runs us; a user id where a container knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@functools.cache
def facts() -> dict[str, Any]:
    """Return what the numbers of this process's runs may depend on, without the runs' own seeds, data and threads.

    Environment variables are no part of it: they hold passwords.

    Returns:
        ``nnlab`` and ``python`` versions, ``packages`` (name -> version, those that nnlab asks for itself), ``cpu``,
        ``cores`` that we may use, ``system``, ``blas`` (of NumPy: name, version, and the processor whose kernels it
        runs), ``code_version``, ``git_commit``, ``git_dirty``, ``command``.
    """
    state = checkout.current()
    program = Path(sys.argv[0]).name
    return {
        "nnlab": _version("nnlab"),
        "python": platform.python_version(),
        "packages": _packages(),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": blas(),
        "code_version": code_version(),
        "git_commit": state and state.commit,
        "git_dirty": state and state.dirty,
        "command": shlex.join(["nnlab" if program == "__main__.py" else program, *map(without_password, sys.argv[1:])]),
    }


def without_password(text: str) -> str:
    """Return text with the passwords of the URLs in it hidden."""
    return _PASSWORD.sub(lambda found: f"{found[1]}***{found[2]}", text)


@functools.cache
def blas() -> str:
    """Return name, version and architecture of NumPy's BLAS: ``openblas 0.3.31 SkylakeX``.

    SciPy brings one of its own, which may be loaded or not.
    """
    pools, home = _blas_pools(), str(Path(np.__file__).parent)
    pool = next((pool for pool in pools if pool["filepath"].startswith(home)), pools[0] if pools else None)
    if pool is None:  # threadpoolctl knows nothing of Apple's Accelerate
        built: Any = np.show_config(mode="dicts")
        return str(built["Build Dependencies"]["blas"]["name"])
    return " ".join(str(pool[key]) for key in ("internal_api", "version", "architecture") if pool.get(key))


@contextmanager
def blas_threads(threads: int | None) -> Iterator[int]:
    """Cap NumPy's BLAS threads inside the block (None: leave them), and give the number that is used."""
    with threadpool_limits(threads, user_api="blas"):
        yield max((int(pool["num_threads"]) for pool in _blas_pools()), default=1)


def cpu() -> str:
    """Return the processor's model; empty where the system doesn't say."""
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return platform.processor()
    return found[1].strip() if found else ""


def _packages() -> dict[str, str]:
    """Return the versions of what nnlab requires itself, extras left out."""
    try:
        requirements = metadata.requires("nnlab") or []
    except metadata.PackageNotFoundError:  # run from its sources, without being installed
        requirements = ["numpy"]
    needed = [requirement for requirement in requirements if "extra ==" not in requirement]
    names = [match[0] for requirement in needed if (match := re.match(r"[\w.-]+", requirement))]
    return {name: version for name in sorted(names) if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _blas_pools() -> list[dict[str, Any]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
