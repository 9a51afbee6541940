"""Journal lines: a journal's bytes as events, as a crash may have left them: whole lines, then perhaps a torn tail.

A line is whole if it ends with a line break and is an event of ours. The tail is what follows the last whole line: what
a killed process wrote of its last line, or what a file system left behind at a power cut, NUL bytes or worse. Garbage
in front of whole lines, and a file without any, is damage that no crash makes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnlab import locks
from nnlab.errors import NnlabError, naming

Event = dict[str, Any]

_KEYS = {
    "run": ("run_id",),
    "params": ("params",),
    "metrics": ("step", "metrics"),
    "artifact": ("path",),
    "pruned": ("path",),
    "tags": ("tags",),
    "status": ("status", "reason"),
}
_LONGEST = 1 << 24  # bytes of a line
_WINDOW = 65536  # bytes, the last of a file that are looked at first


def parse(line: bytes) -> Event | None:
    """Return the event of a line; None if it is none. Types that a later nnlab may have are events too."""
    try:
        event: Event = json.loads(line)
        for key in ("timestamp", *_KEYS.get(event["type"], ())):
            event[key]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return event


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole line from ``offset`` (bytes) on, with the offset behind it; a torn tail is left alone.

    Raises:
        NnlabError: there is garbage, and a whole line behind it or none in front.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while line := file.readline(_LONGEST):
            if len(line) == _LONGEST:
                raise NnlabError(f"{path} is damaged: it has a line of {_LONGEST:,} bytes or more")
            if not line.endswith(b"\n"):
                return
            start, offset = offset, offset + len(line)
            event = parse(line)
            if event is None:
                if start == 0:
                    raise NnlabError(f"{path} is damaged: its first line is no event of ours")
                if any(later.endswith(b"\n") and parse(later) is not None for later in file):
                    raise NnlabError(
                        f"{path} is damaged: the line that ends at byte {offset} is no event of ours, and others "
                        f"follow it; cut to its first {start} bytes, it can be resumed, and the rest is done again"
                    )
                return
            yield event, offset


def whole_lines(path: Path) -> int:
    """Return the size of a journal up to the end of its last whole line."""
    return last(path)[0]


def sync(path: Path) -> None:
    """Bring onto the disk what another process has written to its journal.

    Raises:
        OSError: the disk refuses.
    """
    with naming(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def last(path: Path) -> tuple[int, Event | None]:
    """Return where a journal's last whole line ends, and what it says; None if there is none."""
    with path.open("rb") as file:
        size, window = file.seek(0, os.SEEK_END), _WINDOW
        while True:
            start = max(0, size - window)
            file.seek(start)
            data = file.read(size - start)
            end = data.rfind(b"\n") + 1
            while end > 0:
                begin = data.rfind(b"\n", 0, end - 1) + 1
                if begin == 0 and start > 0:  # it begins before the window
                    break
                if (event := parse(data[begin:end])) is not None:
                    return start + end, event
                end = begin
            if start == 0:
                return 0, None
            if window > 4 * _LONGEST:
                raise NnlabError(f"{path} is damaged: its last {window:,} bytes are no event of ours")
            window *= 4


def torn(path: Path) -> str | None:
    """Return what there is to say of a journal's torn tail; None if it has none, or a living process is writing it."""
    whole, size = whole_lines(path), path.stat().st_size
    # Asked last: a process that had begun to write before, and is at it no more, has changed the size.
    if whole == size or locks.is_locked(path) or (whole_lines(path), path.stat().st_size) != (whole, size):
        return None
    return describe_torn(path, size - whole)


def tail(path: Path) -> str | None:
    """Return the same, whoever is writing it."""
    whole, size = whole_lines(path), path.stat().st_size
    return describe_torn(path, size - whole) if size > whole else None


def describe_torn(path: Path, tail: int) -> str:
    """Say that so many bytes are left out."""
    return f"the last {tail:,} bytes of {path} are a torn line, left out"
