"""Remark: one line of what `nnlab doctor` has to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SHOWN = 3  # of many


class Remark(NamedTuple):
    """A remark.

    Attributes:
        subject: what it is about, one word.
        text: what was found.
        remedy: what to do; empty where there is nothing to do.
        is_fine: whether all is well there.
    """

    subject: str
    text: str
    remedy: str = ""
    is_fine: bool = True


def trouble(subject: str, text: str, remedy: str = "") -> Remark:
    """Return a remark on something that is wrong."""
    return Remark(subject, text, remedy, is_fine=False)


def some(things: Sequence[object], between: str = ", ") -> str:
    """Return the first few of some things, and how many more there are."""
    shown = between.join(str(thing) for thing in things[:_SHOWN])
    return shown + (f"{between}... ({len(things) - _SHOWN} more)" if len(things) > _SHOWN else "")


def count(number: int, singular: str, plural: str = "") -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"
