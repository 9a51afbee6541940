"""Backlog: the runs of an outputs root whose journals hold something that a store has not got."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from nnlab import journal
from nnlab.tracking import cursor, runs

_SCAN_SHARE = 0.05  # of the time goes into looking for what is new among all runs,
_SCAN_SECONDS = 5.0  # or more, so as not to let longer pass between two looks


def sizes(directories: Iterable[Path]) -> dict[Path, int]:
    """Return the bytes of each run's journal, without those that have been deleted."""
    found = {}
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            found[directory] = (directory / journal.NAME).stat().st_size
    return found


class Backlog:
    """What is left to do; looking at it costs by the runs that are left, not by all that there are.

    Args:
        outputs: the outputs root.
        store_key: of the store; None if that starts anew, whatever the cursors say.

    Attributes:
        left: the runs that are left, as keys in the order of their turns.
        sizes: every run's directory -> bytes of its journal, as last seen.
        is_fresh: whether the last look was at all runs; the more there are, the less often it is.
    """

    def __init__(self, outputs: Path, store_key: str | None) -> None:
        self._outputs = outputs
        self._next_scan = 0.0
        self.left: dict[Path, None] = {}
        self._done: dict[Path, int] = {}
        self.sizes: dict[Path, int] = {}
        self.is_fresh = False
        if store_key is not None:
            self.sizes = sizes(runs.find(outputs))
            self._done = {each: size for each, size in self.sizes.items() if cursor.is_mirrored(each, store_key)}

    def look(self) -> list[Path]:
        """Return the runs that are left: new ones first, sweeps before their children."""
        started = time.monotonic()
        self.is_fresh = started >= self._next_scan
        if self.is_fresh:
            self.sizes = sizes(runs.find(self._outputs))
            ended = time.monotonic()
            self._next_scan = ended + min(_SCAN_SECONDS, (ended - started) / _SCAN_SHARE)
            left = {each: None for each, size in self.sizes.items() if self._done.get(each) != size}
            known = {each: None for each in self.left if each in left}
            self.left = {each: None for each in left if each not in known} | known
        else:
            seen = sizes(self.left)
            for each in self.left.keys() - seen.keys():
                del self.sizes[each], self.left[each]
            self.sizes |= seen
        return list(self.left)

    def settle(self, directory: Path) -> None:
        """Take a run off until its journal has grown, compared with the last look."""
        self._done[directory] = self.sizes[directory]
        del self.left[directory]

    def end_turn(self, tried: Iterable[Path]) -> None:
        """Put those that have had a turn, and are still left, behind the others."""
        for each in tried:
            if each in self.left:
                del self.left[each]
                self.left[each] = None
