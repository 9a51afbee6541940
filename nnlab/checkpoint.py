"""Checkpoints: a folder of .npy files and a manifest, written whole or not at all.

    epoch-000012/
        0.weight.npy 0.bias.npy ...          parameters, by the names of PyTorch's state dict, weights [out, in]
        optimizer.velocity.0.weight.npy ...  the optimiser's arrays
        input.mean.npy input.std.npy         what the inputs are standardised with, where they are
        manifest.json                        shape, dtype and SHA-256 of each; epoch, step, random states ...
        manifest.sha256                      of manifest.json

In a run's directory, the journal has the SHA-256 of the manifest, so that neither another run's checkpoint nor one that
was made anew, hashes and all, is taken for it. Nothing here can run code: arrays are read with ``allow_pickle=False``,
from bytes whose hash has been checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab import atomic_file, manifest_file, noted, npy, regular_file
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits
from nnlab.one_line import one_line

_MANIFEST, _SEAL = "manifest.json", "manifest.sha256"
_MANIFEST_BYTES = 10_000_000  # a data set may have many classes, and their names are in it
_NAME = re.compile(r"epoch-([0-9]{6,18})")
_NOT_OURS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave wherever somebody has looked
_SHOWN = 8  # epochs listed


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
    manifest_file.check_names(folder, [f"{name}.npy" for name in arrays])
    if os.path.lexists(folder):
        if not problems(folder):
            return
        remove(folder)
    if not folder.parent.is_dir():
        folder.parent.mkdir(parents=True)
        atomic_file.sync_names(folder.parent)  # or a power cut might leave a run's first checkpoints without their run
    temporary = _temporary(folder)
    temporary.mkdir()
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
    expected = {_MANIFEST, _SEAL, *manifest["files"]}
    found = {path.name: path for path in folder.iterdir()}
    if strangers := sorted(found.keys() - expected - _NOT_OURS):
        raise NnlabError(f"{folder} holds files that its manifest does not name: {one_line(', '.join(strangers))}")
    if links := sorted(name for name in expected & found.keys() if found[name].is_symlink()):
        raise NnlabError(f"{folder / links[0]} is a symbolic link: a checkpoint's files are its own")
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
    if not os.path.lexists(folder / _MANIFEST):
        raise NnlabError(f"{folder} is no checkpoint: there is no {_MANIFEST} in it")
    path = folder / _MANIFEST
    text = regular_file.read(path, _MANIFEST_BYTES)
    if hashlib.sha256(text).hexdigest().encode() != regular_file.read(folder / _SEAL, _MANIFEST_BYTES):
        raise NnlabError(f"{path} is damaged: its SHA-256 is not the one in {_SEAL}")
    try:
        manifest: dict[str, Any] = json.loads(text)
        problem = manifest_file.problem(manifest)
    except (ValueError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise NnlabError(f"{path} is no manifest: {one_line(problem)}")
    manifest_file.check_names(folder, manifest["files"])
    _check_place(folder, manifest, hashlib.sha256(text).hexdigest())
    return manifest


def seal(folder: Path) -> str:
    """Return the SHA-256 of the manifest of a checkpoint that was just written or read."""
    return hashlib.sha256((folder / _MANIFEST).read_bytes()).hexdigest()


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
    known = noted.of(root).seals  # asked first: one that is written now is then on the disk
    there = epochs(root)
    newest = max([*there, *(int(match[1]) for each in known if (match := _NAME.fullmatch(each)))], default=None)
    if newest is None:
        raise NnlabError(f"{directory} holds no checkpoint: there is no checkpoints/epoch-... in it")
    epoch = {str(each): each for each in there}.get(str(which))
    if which in ("last", "best"):
        if newest not in there:
            raise NnlabError(f"{root / name(newest)}, the last checkpoint, is missing")
        manifest = read_manifest(root / name(newest))
        epoch = manifest.get("restored_epoch", newest) if which == "last" else manifest.get("best", {}).get("epoch")
        if epoch is not None and epoch not in there:
            raise NnlabError(f"{root / name(epoch)}, the {which} checkpoint, is missing")
    if epoch not in there:
        have = ", ".join(str(epoch) for epoch in there)
        raise NnlabError(f"{directory} holds no checkpoint {which!r}: choose last, best or an epoch of {have}")
    return root / name(epoch)


def epochs(root: Path) -> list[int]:
    """Return the epochs of which there is something under a checkpoint's name, in order.

    Args:
        root: the folder of a run's checkpoints.
    """
    found = (_NAME.fullmatch(path.name) for path in root.glob("epoch-*"))
    return sorted(epoch for match in found if match and name(epoch := int(match[1])) == match[0])


def whole_ones(directory: Path) -> str:
    """Say which checkpoints of a run are whole, for somebody who can't have the one that was asked for."""
    root = directory / "checkpoints"
    whole = [str(epoch) for epoch in epochs(root) if problems(root / name(epoch)) is None]
    if not whole:
        return "no other checkpoint is whole"
    shown = ", ".join(whole if len(whole) <= _SHOWN else [*whole[: _SHOWN // 2], "...", *whole[-_SHOWN // 2 :]])
    return f"whole ones are those of the epochs {shown}: choose one of them"


def remove(folder: Path) -> None:
    """Delete a checkpoint: renamed first, so that a killed process leaves no half of one under its name."""
    doomed = _temporary(folder)
    folder.rename(doomed)
    delete(doomed)


def delete(place: Path) -> None:
    """Delete a folder, or what is in its place."""
    if place.is_symlink() or not place.is_dir():
        place.unlink()
    else:
        shutil.rmtree(place)


def name(epoch: int) -> str:
    """Return the folder's name of an epoch's checkpoint."""
    return f"epoch-{epoch:06d}"


def _temporary(folder: Path) -> Path:
    """Return an unused place beside a checkpoint, rid of what a killed process left there; a run has one trainer."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    if os.path.lexists(temporary):
        delete(temporary)
    return temporary


def _check_place(folder: Path, manifest: Mapping[str, Any], found: str) -> None:
    """Refuse a checkpoint that is whole, but not the one that belongs where it is."""
    known = noted.of(folder.parent)
    is_named = _NAME.fullmatch(folder.name) or known.config_hash is not None  # elsewhere it may have any name
    if is_named and "epoch" in manifest and name(manifest["epoch"]) != folder.name:
        raise NnlabError(f"{folder} is the checkpoint of another epoch: of {manifest['epoch']}, by its manifest")
    expected, of_run = known.seals.get(folder.name), known.config_hash
    if expected not in (None, found):
        raise NnlabError(f"{folder} is not the checkpoint that the run has written: the journal has another SHA-256")
    if of_run is not None and manifest.get("config_hash", of_run) != of_run:
        raise NnlabError(f"{folder} is the checkpoint of another run: its config_hash is not the run's")
