"""What ``conf/`` offers, read from its files: the choices of a group and what each means."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import yaml

from nnlab import paths


def choices(group: str) -> list[str]:
    """The names that a group can be set to."""
    return sorted(path.stem for path in (paths.conf_dir() / group).glob("*.yaml"))


def component(group: str, choice: str) -> Callable[..., Any]:
    """The function or class that a choice stands for."""
    target = yaml.safe_load((paths.conf_dir() / group / f"{choice}.yaml").read_text(encoding="utf-8"))["_target_"]
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
