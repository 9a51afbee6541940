"""The machine and the versions a benchmark ran with."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nnlab import environment

PACKAGES = ("jax", "torch", "scikit-learn")


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def describe() -> list[str]:
    """Return Markdown lines."""
    own = environment.versions()
    peers = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return [
        f"- machine: {_cpu()}, {len(cores())} cores, {platform.system()} {platform.machine()} ({_distribution()})",
        f"- Python {own['python']}, NumPy {own['numpy']} with {own['blas']}; {peers}",
        f"- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.release()
