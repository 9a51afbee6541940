"""Copies: two journals of one run, which of them goes on where the other one ends, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.journal import Event

State = Literal["new", "extended", "already here", "further here", "noted otherwise"]

_PIECE = 1 << 20  # bytes at a time


def compare(here: Path, there: Path) -> State:
    """Say what there is to do about two journals of one run; torn lines at their ends don't count.

    Args:
        here: the one that may be extended.
        there: the one that has arrived.

    Returns:
        ``extended``, ``already here``, ``further here``, or ``noted otherwise``: see ``arrival.Arrival``.

    Raises:
        NnlabError: they differ within what both have, and not in notes alone.
    """
    own, other = journal.whole_lines(here), journal.whole_lines(there)
    line, begin, offset = 1, 0, 0  # the line that is compared, where it begins, and what has been compared
    for ours, theirs in _pieces(here, there, min(own, other)):
        is_same = ours == theirs
        at = next((n for n, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]), 0)
        alike = ours if is_same else ours[:at]
        line += alike.count(b"\n")
        begin = offset + alike.rindex(b"\n") + 1 if b"\n" in alike else begin
        offset += len(alike)
        if not is_same and _are_notes(here, there, begin):
            return "noted otherwise"
        if not is_same:
            raise NnlabError(
                f"{here.parent} and the archive's copy of it have gone different ways (from line {line} of "
                f"{journal.NAME} on), so they can't be made one: move one of them away"
            )
    return "already here" if own == other else "extended" if own < other else "further here"


def _are_notes(here: Path, there: Path, begin: int) -> bool:
    """Say whether two journals differ from some line on in notes alone, of a run that had ended before."""
    end: Event = {}
    for end, offset in journal.read_events(here):  # noqa: B007 - the last before that line
        if offset == begin:
            break
    later = [event for path in (here, there) for event, _ in journal.read_events(path, begin)]
    return end.get("type") == "status" and all(event["type"] in ("tags", "artifact") or event == end for event in later)


def _pieces(here: Path, there: Path, size: int) -> Iterator[tuple[bytes, bytes]]:
    with here.open("rb") as ours, there.open("rb") as theirs:
        for start in range(0, size, _PIECE):
            length = min(_PIECE, size - start)
            yield ours.read(length), theirs.read(length)
