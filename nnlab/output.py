"""Output: lines on the standard output, which may fail at any time without taking a run with it."""

from __future__ import annotations

import io
import os
import sys

from nnlab.errors import NnlabError

_lost: list[OSError] = []  # why something that was to be printed is not: the record matters, not the line


def open_missing() -> None:
    """Open standard streams that were closed (``>&-``): the next file, a journal say, would get their number."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a path that the terminal's encoding has no letters for


def say(line: str) -> None:
    """Print a line at once."""
    write(f"{line}\n")
    flush()


def write(text: str) -> None:
    """Write to the standard output, as far as it can be written to."""
    try:
        sys.stdout.write(text)
    except OSError as error:
        lose(error)


def flush() -> None:
    """Send what was written on its way."""
    try:
        sys.stdout.flush()
    except OSError as error:
        lose(error)


def lose(error: OSError) -> None:
    """Send what is printed from now on nowhere, and keep in mind why, unless the reader has just gone (``| head``)."""
    if not isinstance(error, BrokenPipeError):
        _lost.append(error)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check() -> None:
    """Bring to light what could not be printed.

    Raises:
        NnlabError: why.
    """
    flush()
    if _lost:
        raise NnlabError(f"the standard output: {_lost.pop().strerror}; not all has been printed", exit_code=1)
