"""The machine and the versions a benchmark ran with."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version

from nnlab import environment

PACKAGES = ("jax", "torch", "scikit-learn")


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def describe() -> list[str]:
    """Return Markdown lines."""
    own = environment.facts()
    cpu = environment.cpu() or "unknown processor"
    peers = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return [
        f"- machine: {cpu}, {len(cores())} cores, {platform.system()} {platform.machine()} ({_distribution()})",
        f"- Python {own['python']}, NumPy {own['packages']['numpy']} with {own['blas']}; {peers}",
        f"- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.release()
