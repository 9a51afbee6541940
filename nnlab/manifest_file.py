"""Manifest file: what a checkpoint's ``manifest.json`` has to be before anything is done with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnlab.errors import NnlabError

_DIMENSIONS = 8  # more than any array of a network has
_EPOCHS = ("epoch", "restored_epoch")


def problem(manifest: Any) -> str | None:
    """Return what makes some JSON no manifest, or None; what else is in one is for its readers to check."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        return "it has no files"
    for name, entry in manifest["files"].items():
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("dtype", "sha256")):
            return f"files.{name}: it should have shape, dtype and sha256"
        shape = entry.get("shape")
        if not isinstance(shape, list) or len(shape) > _DIMENSIONS or not all(_is_count(size) for size in shape):
            return f"files.{name}.shape: it should be a list of at most {_DIMENSIONS} whole numbers, none below 0"
    best = manifest.get("best", {})
    if not isinstance(best, dict):
        return "best: it should be an object"
    for key, epoch in (("best.epoch", best.get("epoch", 0)), *((key, manifest.get(key, 0)) for key in _EPOCHS)):
        if not _is_count(epoch):
            return f"{key}: it should be a whole number of at least 0"
    return None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Refuse names that lead out of a checkpoint's folder.

    Raises:
        NnlabError: there is one.
    """
    for name in names:
        if Path(name).name != name or not name.endswith(".npy") or not name.isprintable():
            raise NnlabError(f"{folder}: {name!r} is not the name of a file in it")
