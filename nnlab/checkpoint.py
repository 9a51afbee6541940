"""Checkpoints: a folder of .npy files and a manifest, written whole or not at all.

    epoch-000012/
        0.weight.npy 0.bias.npy ...          parameters, by the names of PyTorch's state dict, weights [out, in]
        optimizer.velocity.0.weight.npy ...  the optimiser's arrays
        input.mean.npy input.std.npy         what the inputs are standardised with, where they are
        manifest.json                        shape, dtype and SHA-256 of each; epoch, step, random states ...
        manifest.sha256                      of manifest.json

Nothing here can run code: arrays are read with ``allow_pickle=False``, from bytes whose hash has been checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab import atomic_file, npy, regular_file
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits
from nnlab.one_line import one_line

_MANIFEST, _SEAL = "manifest.json", "manifest.sha256"
_MANIFEST_BYTES = 10_000_000  # a data set may have many classes, and their names are in it
_DIMENSIONS = 8  # more than any array of a network has
_EPOCHS = ("epoch", "restored_epoch")


def write(folder: Path, arrays: Mapping[str, NDArray[Any]], manifest: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; a valid one that is already there is kept.

    Args:
        folder: to be made, ``.../checkpoints/epoch-000012``.
        arrays: name -> array.
        manifest: what else is to be kept, JSON values; the arrays' shapes, dtypes and hashes are added as ``files``.

    Raises:
        OSError: the file system refuses; then nothing is left behind under the checkpoint's name.
        NnlabError: a name leads out of the folder.
    """
    _check_names(folder, [f"{name}.npy" for name in arrays])
    if folder.exists():
        if not problems(folder):
            return
        shutil.rmtree(folder)
    temporary = _temporary(folder)
    temporary.mkdir(parents=True)
    try:
        files = {}
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            atomic_file.write_synced(temporary / f"{name}.npy", buffer.getvalue())
            files[f"{name}.npy"] = {
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "sha256": hashlib.sha256(buffer.getbuffer()).hexdigest(),
            }
        text = json.dumps({**manifest, "files": files}, indent=2, sort_keys=True).encode()
        atomic_file.write_synced(temporary / _MANIFEST, text)
        atomic_file.write_synced(temporary / _SEAL, hashlib.sha256(text).hexdigest().encode())
        atomic_file.sync_directory(temporary)
        temporary.rename(folder)
        atomic_file.sync_directory(folder.parent)
    except BaseException:
        for leftover in (temporary, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        raise


def read(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a checkpoint, every byte checked, and return ``(arrays, manifest)``.

    Raises:
        NnlabError: it is missing, incomplete or damaged; the text names the file.
    """
    manifest = read_manifest(folder)
    if strangers := sorted({path.name for path in folder.glob("*.npy")} - manifest["files"].keys()):
        raise NnlabError(f"{folder} holds files that its manifest does not name: {one_line(', '.join(strangers))}")
    check_fits(2 * sum(regular_file.size(folder / name) for name in manifest["files"]), str(folder))
    arrays = {}
    for name, entry in manifest["files"].items():
        data = regular_file.read(folder / name, npy.file_bytes(math.prod(entry["shape"])))
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise NnlabError(f"{folder / name} is damaged: its SHA-256 is not the manifest's")
        try:
            array = npy.parse(data)
        except ValueError as error:
            raise NnlabError(f"{folder / name} {error}") from error
        if list(array.shape) != entry["shape"] or array.dtype.name != entry["dtype"]:
            raise NnlabError(f"{folder / name} is {array.dtype.name} {list(array.shape)}, the manifest says otherwise")
        arrays[name.removesuffix(".npy")] = array
    return arrays, manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's manifest alone, checked against its seal.

    Raises:
        NnlabError: as for ``read``.
    """
    if not (folder / _MANIFEST).is_file():
        raise NnlabError(f"{folder} is no checkpoint: there is no {_MANIFEST} in it")
    path = folder / _MANIFEST
    text = regular_file.read(path, _MANIFEST_BYTES)
    if hashlib.sha256(text).hexdigest().encode() != regular_file.read(folder / _SEAL, _MANIFEST_BYTES):
        raise NnlabError(f"{path} is damaged: its SHA-256 is not the one in {_SEAL}")
    try:
        manifest: dict[str, Any] = json.loads(text)
        problem = _problem(manifest)
    except (ValueError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise NnlabError(f"{path} is no manifest: {one_line(problem)}")
    _check_names(folder, manifest["files"])
    return manifest


def problems(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None."""
    try:
        read(folder)
    except NnlabError as error:
        return str(error)
    return None


def find(directory: Path, which: str = "last") -> Path:
    """Return the folder of a run's last or best checkpoint; a checkpoint's own folder is returned as it is.

    Args:
        directory: a run's directory or a checkpoint's folder.
        which: ``last`` (what the run ended with: the best epoch if early stopping went back to it), ``best`` (both as
            the last one's manifest says) or an epoch's number.

    Raises:
        NnlabError: there is none.
    """
    if (directory / _MANIFEST).is_file():
        return directory
    root = directory / "checkpoints"
    epochs = sorted(int(path.name[6:]) for path in root.glob("epoch-*") if path.name[6:].isdecimal())
    if not epochs:
        raise NnlabError(f"{directory} holds no checkpoint: there is no checkpoints/epoch-... in it")
    epoch = {str(each): each for each in epochs}.get(str(which))
    if which in ("last", "best"):
        manifest = read_manifest(root / name(epochs[-1]))
        epoch = manifest.get("restored_epoch", epochs[-1]) if which == "last" else manifest.get("best", {}).get("epoch")
    if epoch not in epochs:
        have = ", ".join(str(epoch) for epoch in epochs)
        raise NnlabError(f"{directory} holds no checkpoint {which!r}: choose last, best or an epoch of {have}")
    return root / name(epoch)


def remove(folder: Path) -> None:
    """Delete a checkpoint: renamed first, so that a killed process leaves no half of one under its name."""
    doomed = _temporary(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def name(epoch: int) -> str:
    """Return the folder's name of an epoch's checkpoint."""
    return f"epoch-{epoch:06d}"


def _temporary(folder: Path) -> Path:
    """Return an unused place beside a checkpoint, rid of what a killed process left there; a run has one trainer."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    if temporary.exists():
        shutil.rmtree(temporary)
    return temporary


def _problem(manifest: Any) -> str | None:
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


def _check_names(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if Path(name).name != name or not name.endswith(".npy") or not name.isprintable():
            raise NnlabError(f"{folder}: {name!r} is not the name of a file in it")
