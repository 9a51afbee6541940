"""Machine memory: how much there is, so that what can't fit is refused before the system ends the process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from nnlab.errors import NnlabError

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def machine_bytes() -> int | None:
    """Return the bytes of physical memory, or of the share that a container has; None where the system doesn't say."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    with contextlib.suppress(OSError, ValueError):  # no container, or its limit is the word "max"
        found = min(found, int(_CONTAINER.read_text()))
    return found if found > 0 else None


def check_fits(needed: int, what: str) -> None:
    """Refuse what needs more memory than the machine has; swap is not counted.

    Args:
        needed: bytes, a lower bound: what really runs may need a few times as much.
        what: needs them, for the message, and which keys to look at.

    Raises:
        NnlabError: it can't fit.
    """
    there = machine_bytes()
    if there is not None and needed > there:
        shown = f"{min(needed, 2**80) / 2**30:,.1f}"
        raise NnlabError(f"{what}: it takes at least {shown} GiB of memory, this machine has {there / 2**30:,.1f}")
