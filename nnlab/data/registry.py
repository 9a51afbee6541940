"""What ``nnlab data fetch|list|verify`` do, as functions that return rows."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nnlab.data import cache, download
from nnlab.data.fashion_mnist import FASHION_MNIST
from nnlab.data.image_files import locate
from nnlab.data.mnist import MNIST
from nnlab.errors import NnlabError

DOWNLOADED = {files.name: files for files in (FASHION_MNIST, MNIST)}
DATASETS = ("breast_cancer", "circles", "digits", "fashion_mnist", "iris", "mnist", "moons", "wine")
SHIPPED = "ships with scikit-learn"


class StatusRow(NamedTuple):
    """One data set on this machine.

    Attributes:
        name: of the data set.
        present: whether it can be used without a network.
        path: where it is kept, or would be.
        bytes: how much room it takes there, 0 for one that is not there yet.
    """

    name: str
    present: bool
    path: Path
    bytes: int


class VerifyRow(NamedTuple):
    """One file, or one cache entry, compared with its SHA-256.

    Attributes:
        name: of the data set.
        file: path below the data directory, or ``ships with scikit-learn`` where nothing is kept yet.
        state: ``ok``, ``missing`` or ``wrong``.
    """

    name: str
    file: str
    state: cache.State


def fetch(name: str, report: Callable[[str], None]) -> None:
    """Make a data set usable without a network.

    Args:
        name: of the data set.
        report: takes one line about each thing that happens.

    Raises:
        NnlabError: no such data set, or it cannot be fetched.
    """
    if name not in DATASETS:
        raise NnlabError(f"nnlab data fetch: no data set {name!r}; choose one of {', '.join(DATASETS)}")
    if name in DOWNLOADED:
        download.fetch(DOWNLOADED[name], report)
    else:
        report(f"{name}: {SHIPPED}, nothing to fetch")


def status() -> list[StatusRow]:
    """What is on this machine, without reading it.

    Returns:
        One row a data set.
    """
    rows = []
    for name in DATASETS:
        folder = cache.data_dir() / name
        present = name not in DOWNLOADED or all(locate(folder, file) for file in DOWNLOADED[name].sha256)
        rows.append(StatusRow(name, present, folder, sum(map(_size, folder.rglob("*")))))
    return rows


def verify() -> list[VerifyRow]:
    """Compare everything that is kept with its SHA-256.

    A wrong cache entry does no harm: it is made again when it is next used.

    Returns:
        One row for each file of the downloaded sets and each cache entry of the others.
    """
    return [row for name in DATASETS for row in (_verify_files(name) if name in DOWNLOADED else _verify_cache(name))]


def _verify_files(name: str) -> list[VerifyRow]:
    files = DOWNLOADED[name]
    paths = {file: locate(files.folder, file) or files.folder / file for file in files.sha256}
    return [VerifyRow(name, f"{name}/{path.name}", files.state(file)) for file, path in paths.items()]


def _verify_cache(name: str) -> list[VerifyRow]:
    entries = [VerifyRow(name, key, cache.check(key)) for key in _cache_keys(name)]
    return entries or [VerifyRow(name, SHIPPED, "ok")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # another process has just renamed it
        return 0


def _cache_keys(name: str) -> list[str]:
    root = cache.data_dir()
    folders = {path.parent for file in (*cache.ARRAY_FILES, cache.SIDECAR) for path in (root / name).rglob(file)}
    return sorted(folder.relative_to(root).as_posix() for folder in folders)
