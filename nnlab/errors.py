"""Errors: the one exception that a user is meant to read, and what the system's own come to in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NnlabError(Exception):
    """Something the user can mend: bad input, a missing file, a store that refuses.

    Its text is one clear line: what, where, which choices there are, what to do. The command line prints that line and
    nothing else; everything that is not an ``NnlabError`` is a bug of ours and keeps its traceback.

    Attributes:
        exit_code: what the command line ends with; 2 is "the input was wrong" and 1 is "it failed while running".
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def naming(file: Path | str) -> Iterator[None]:
    """Let an ``OSError`` name the file that it is about: those of ``write``, ``fsync`` and ``close`` don't."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(file)
        raise


def describe(error: BaseException) -> str:
    """Return what went wrong: our own words, a file and why the system refuses it, else the exception."""
    if isinstance(error, NnlabError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    return ": ".join(filter(None, (type(error).__name__, str(error))))  # a MemoryError may say nothing
