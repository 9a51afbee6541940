"""What ``nnlab data fetch|list|verify`` do, as functions that return rows."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nnlab.data import cache, mnist_files
from nnlab.data.download import fetch_mnist
from nnlab.errors import NnlabError

DATASETS = ("mnist", "moons", "wine")
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
    if name == "mnist":
        fetch_mnist(report)
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
        present = name != "mnist" or all(mnist_files.locate(folder, file) for file in mnist_files.SHA256)
        rows.append(StatusRow(name, present, folder, sum(map(_size, folder.rglob("*")))))
    return rows


def verify() -> list[VerifyRow]:
    """Compare everything that is kept with its SHA-256.

    A wrong cache entry of wine or moons does no harm: it is made again when it is next used.

    Returns:
        One row for each MNIST file and each cache entry of the others.
    """
    folder = mnist_files.mnist_dir()
    rows = []
    for name in mnist_files.SHA256:
        path = mnist_files.locate(folder, name) or folder / name
        rows.append(VerifyRow("mnist", f"mnist/{path.name}", mnist_files.state(folder, name)))
    for name in DATASETS:
        if name != "mnist":
            entries = [VerifyRow(name, key, cache.check(key)) for key in _cache_keys(name)]
            rows += entries or [VerifyRow(name, SHIPPED, "ok")]
    return rows


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # another process has just renamed it
        return 0


def _cache_keys(name: str) -> list[str]:
    root = cache.data_dir()
    folders = {path.parent for file in (*cache.ARRAY_FILES, cache.SIDECAR) for path in (root / name).rglob(file)}
    return sorted(folder.relative_to(root).as_posix() for folder in folders)
