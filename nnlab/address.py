"""Address: what a run is, by its content.

Two runs with the same address give the same bytes, with the same NumPy, BLAS and processor.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnlab.components import locate
from nnlab.config import GROUPS, Config
from nnlab.data import stand_ins
from nnlab.hashing import canonical_hash, code_version

_DECIDING = (*(group for group in GROUPS if group != "tracking"), "seed", "training", "checkpoint")


def address(config: Config, threads: int, data_hash: str) -> str:
    """Return the SHA-256 of a run's resolved config, data and code, 64 hex digits.

    Where something lies is no part of it: a path counts as what is there, by its bytes. Neither is how the run is
    tracked, ``experiment_name`` included. The user's own components count by the files that define them; what these
    import is not looked at.

    Args:
        config: of the run.
        threads: BLAS threads that it uses; another number may round differently.
        data_hash: of all bytes of its data set.
    """
    node = config.to_dict()
    decides: dict[str, Any] = {name: node[name] for name in _DECIDING}
    decides["dataset"] = {name: value for name, value in node["dataset"].items() if name != "path"}
    decides["training"] = {**node["training"], "blas_threads": threads}
    given = config.initializer.from_
    decides["initializer"] = {**node["initializer"], "from": None if given is None else _arrays_hash(given)}
    known = {"data_hash": data_hash, "code_version": code_version(), "sources": _source_hashes(config)}
    return canonical_hash({"config": decides, **known})


def _source_hashes(config: Config) -> dict[str, str]:
    """Return the SHA-256 of the file that defines each component of the user's own, by its target."""
    own = {each.target: where for where, each in config.components().items() if not each.target.startswith("nnlab.")}
    return {target: _files_hash(_defining(target, where)) for target, where in own.items()}


def _defining(target: str, where: str) -> list[Path]:
    """Return the file that defines a target; none for what was typed into an interpreter."""
    file = getattr(inspect.getmodule(locate(target, where)), "__file__", None)
    return [Path(file)] if file and Path(file).is_file() else []


def _arrays_hash(folder: str) -> str:
    """Return the SHA-256 of the arrays that a folder holds, names and bytes."""
    return _files_hash(sorted(stand_ins.of(folder).expanduser().absolute().glob("*.npy")))


def _files_hash(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files, names and bytes."""
    return _hash_of(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths))


@functools.lru_cache(maxsize=64)
def _hash_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash files, once as long as nobody changes them: the runs of a sweep often share them."""
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\0".encode())
    return digest.hexdigest()
