"""Regular file: a file that somebody else may have put there, read only if it is one, and only up to a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from nnlab.errors import NnlabError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def size(path: Path) -> int:
    """Return the bytes of a regular file, or of what a symbolic link to one leads to.

    Raises:
        NnlabError: there is none, or it is a folder, a named pipe, a socket or a device.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise _unreadable(path, error) from error
    _check(path, status)
    return status.st_size


def read(path: Path, limit: int) -> bytes:
    """Return what is in a regular file; opening never waits for a writer, as it would for a named pipe.

    Args:
        path: of the file.
        limit: bytes that it may have.

    Raises:
        NnlabError: as for ``size``, it can't be read, or it has more bytes than that.
    """
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise NnlabError(f"{path} has {size:,} bytes; more than {limit:,} are not read")
            data = file.read(size + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > size:
        raise NnlabError(f"{path} grows while it is read: nothing of it is used")
    return data


def opened(path: Path) -> BinaryIO:
    """Open a regular file for reading, without waiting for anybody.

    Raises:
        NnlabError: as for ``size``, or it can't be read.
    """
    size(path)  # to open a device may set it in motion, so that is looked at first
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115 - Path.open takes no flags
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _check(path, os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NnlabError(f"{path} is {kind}: only regular files are read")


def _unreadable(path: Path, error: OSError | ValueError) -> NnlabError:
    return NnlabError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}")
