"""Whole checkpoints: which ones a directory holds, judged without nnlab, by hashes and by expected bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def epochs(directory: Path) -> dict[int, Path]:
    """Return a run's checkpoints by epoch, as far as their names go."""
    return {int(path.name[6:]): path for path in sorted((directory / "checkpoints").glob("epoch-*"))}


def problem(folder: Path, expected: Path) -> str | None:
    """Return what is wrong with a checkpoint whose arrays should be those of another one, or None."""
    try:
        text = (folder / "manifest.json").read_bytes()
        if hashlib.sha256(text).hexdigest().encode() != (folder / "manifest.sha256").read_bytes():
            return f"{folder.name}: its manifest is not what its seal says"
        files = json.loads(text)["files"]
        arrays = {path.name for path in folder.iterdir()} - {"manifest.json", "manifest.sha256"}
        if arrays != files.keys():
            return f"{folder.name}: it holds {sorted(arrays ^ files.keys())} too many or too few"
        for name, entry in files.items():
            data = (folder / name).read_bytes()
            array = np.load(folder / name, allow_pickle=False)
            if hashlib.sha256(data).hexdigest() != entry["sha256"] or list(array.shape) != entry["shape"]:
                return f"{folder.name}: {name} is not what the manifest says"
    except (OSError, ValueError, KeyError) as error:
        return f"{folder.name}: {error}"
    return differences(folder, expected)


def differences(folder: Path, expected: Path) -> str | None:
    """Return how the arrays of two checkpoints differ, or None."""
    found, should = ({path.name: path.read_bytes() for path in each.glob("*.npy")} for each in (folder, expected))
    return None if found == should else f"{folder.name}: its arrays have not the bytes that they should have"


def problems(directory: Path, expected: Path) -> Iterator[str]:
    """Yield what is wrong with a run's checkpoints, which should be those of another run."""
    for epoch, folder in epochs(directory).items():
        if wrong := problem(folder, epochs(expected)[epoch]):
            yield wrong
