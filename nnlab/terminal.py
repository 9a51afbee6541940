"""Terminal: rich's console as nnlab uses it."""

from __future__ import annotations

from rich.console import Console

from nnlab import output


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on without a reader; rich itself would end the process."""
        self.quiet = True
        output.discard()


def console() -> Console:
    """Return a console on the standard output; piped, it is wide enough for a table not to be cut."""
    console = _Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    return console
