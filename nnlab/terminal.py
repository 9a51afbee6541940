"""Terminal: rich's console as nnlab uses it."""

from __future__ import annotations

import sys
from typing import IO, Any, cast

from rich.console import Console

from nnlab import output


class _Output:
    """The standard output as of now, without the errors of it that would end a run."""

    write = staticmethod(output.write)
    flush = staticmethod(output.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def console() -> Console:
    """Return a console on the standard output; piped, it is wide enough for a table not to be cut."""
    console = Console(file=cast("IO[str]", _Output()), highlight=False)
    if not console.is_terminal:
        console.width = 200
    return console
