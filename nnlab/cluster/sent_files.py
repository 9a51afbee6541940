"""Sent files: the data that a worker can't get by itself, sent once to each, and believed for its SHA-256 only."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nnlab import regular_file
from nnlab.compose import Job
from nnlab.config import Config
from nnlab.data import cache, registry, stand_ins
from nnlab.data.image_files import locate
from nnlab.errors import NnlabError

_FOLDER = "sent"
_BYTES = 4 * 2**30

Folder = Mapping[str, bytes]
"""Name -> content of each file."""


@dataclass(frozen=True)
class SentFiles:
    """What goes along with an order.

    Attributes:
        own: a path that a config names -> what is there: a file, or a folder's arrays.
        published: name of a data set -> its files.
    """

    own: Mapping[str, Folder] = field(default_factory=dict)
    published: Mapping[str, Folder] = field(default_factory=dict)


def own_paths(config: Config) -> list[str]:
    """Return the places of the user's own files that a config names."""
    named = (config.dataset.arguments.get("path"), config.initializer.from_)
    return [each for each in named if isinstance(each, str) and each]


def read_own(path: str) -> Folder:
    """Read what a config's path names.

    Raises:
        NnlabError: it is no regular file, or too large.
        OSError: it can't be read.
    """
    place = Path(path).expanduser()
    files = sorted(place.glob("*.npy")) if place.is_dir() else [place]
    return {file.name: regular_file.read(file, _BYTES) for file in files}


def read_published(name: str) -> Folder:
    """Read the verified files of a data set that is downloaded.

    Raises:
        NnlabError: they can't be had here either.
    """
    registry.fetch(name, lambda _: None)
    files = registry.DOWNLOADED[name]
    return {each: files.read(path, each) for each in files.sha256 if (path := locate(files.folder, each))}


def fetch_or_name(jobs: Iterable[Job]) -> tuple[str, ...]:
    """Fetch the data sets of some jobs where they are published; return the names of those that can't be reached."""
    lacks = []
    for name in dict.fromkeys(job.choices.get("dataset", "") for job in jobs):
        if name in registry.DOWNLOADED:
            try:
                registry.fetch(name, lambda _: None)
            except NnlabError:  # a worker without a way out: whoever sent the order has it
                lacks.append(name)
    return tuple(lacks)


def put(sent: SentFiles) -> None:
    """Keep files that have come, each where it belongs on this machine, once.

    Raises:
        NnlabError: a published file is not the one that was published.
        OSError: the file system refuses.
    """
    for name, folder in sent.published.items():
        files = registry.DOWNLOADED[name]
        for each, content in folder.items():
            if files.state(each) != "ok":
                try:
                    cache.write_atomically(files.folder / each, files.verified(each, content))
                except ValueError as error:
                    raise NnlabError(f"dataset={name}: {each} came as another file: {error}") from error
    for path, folder in sent.own.items():
        place = _kept(folder)
        stand_ins.add(path, place / Path(path).name if Path(path).name in folder else place)


def _kept(folder: Folder) -> Path:
    """Return a folder of the data directory that has these files, and whose name says so."""
    digest = hashlib.sha256()
    for name, content in sorted(folder.items()):
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
    place = cache.data_dir() / _FOLDER / digest.hexdigest()
    for name, content in folder.items():
        with contextlib.suppress(OSError):
            if (place / name).read_bytes() == content:
                continue
        cache.write_atomically(place / name, content)
    return place
