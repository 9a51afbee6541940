"""One line: what somebody else wrote, fit to be shown in a message."""

from __future__ import annotations

_LONGEST = 1000  # characters


def one_line(text: str) -> str:
    """Return a text without line breaks, escape sequences of terminals and what else can't be printed, cut if long."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ..."
