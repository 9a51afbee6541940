"""Names: what a file may be called in an archive, so that it means the same on every machine and leads nowhere else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PureWindowsPath

from nnlab.errors import NnlabError

_FOLDERS = ("runs", "sweeps")
_HYDRA = ".hydra"
_LONGEST, _SHOWN = 1000, 200  # characters of a name, folders and all


def is_local(part: str) -> bool:
    """Say whether a file or folder of a run's directory is of this machine alone, by its name.

    Those that begin with a dot are: how far each store has got (``.mlflow-*``), what is kept free for a full disk
    (``.reserve``), temporary files, a cluster's (``.submitit``). Hydra's record is none of them.
    """
    return part.startswith(".") and part != _HYDRA


def check(names: Iterable[str]) -> None:
    """Refuse names of files that are not all different, relative, and below ``runs/`` or ``sweeps/``.

    Raises:
        NnlabError: the first that is wrong, and why.
    """
    seen: dict[str, str] = {}  # as the most forgetful file system sees them -> as written
    files: set[str] = set()
    for name in names:
        if problem := _problem(name):
            raise NnlabError(f"{name[:_SHOWN]!r} {problem}")
        if name in files:
            raise NnlabError(f"{name!r} is there twice")
        files.add(name)
        parts = name.split("/")
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            if (other := seen.setdefault(_folded(path), path)) != path:
                raise NnlabError(f"{path!r} and {other!r} are one file on some machines")
    for name in files:
        parts = name.split("/")
        if above := next((path for end in range(1, len(parts)) if (path := "/".join(parts[:end])) in files), None):
            raise NnlabError(f"{above!r} is a file and a folder")


def _problem(name: str) -> str | None:
    path, parts = PureWindowsPath(name), name.split("/")
    if not name.isprintable() or len(name) > _LONGEST:
        return "is no name: it is too long or can't be printed"
    if path.drive or path.root or "\\" in name or {"", ".", ".."} & set(parts):
        return "is no relative path"
    if parts[0] not in _FOLDERS or len(parts) < 3:
        return "is no file of a run or a sweep"
    if any(is_local(part) for part in parts):
        return "is of one machine alone and has no place in an archive"
    return None


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
