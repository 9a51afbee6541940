"""Output: lines on the standard output, whose reader may go away at any time without taking a run with it."""

from __future__ import annotations

import os
import sys


def say(line: str) -> None:
    """Print a line at once."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone (| head); the record matters, not the line
        discard()


def discard() -> None:
    """Send what is printed from now on nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
