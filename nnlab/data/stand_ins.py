"""Stand-ins: where on this machine the files are that a config names by their place on another one.

A worker of a cluster gets the user's own files sent. Their configs stay what they are, and so do the runs' hashes.
"""

from __future__ import annotations

from pathlib import Path

_known: dict[str, Path] = {}


def add(path: str, here: Path) -> bool:
    """Let a path of a config mean a place of this machine from now on; say whether that is another one than before."""
    is_new = _known.get(path) != here
    _known[path] = here
    return is_new


def of(path: str) -> Path:
    """Return the place that a path of a config means."""
    return _known.get(path, Path(path))
