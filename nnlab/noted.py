"""Noted: what a run's journal says of its checkpoints, so that none can be taken for another.

A checkpoint's own hashes tell that it is whole, not whose it is: one that was copied, renamed or made anew by somebody
has good ones too. The journal names the SHA-256 of each one's manifest, in which those of all its files are.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from nnlab import journal_lines
from nnlab.journal_lines import Event

_JOURNAL = "journal.jsonl"
_CONFIG_HASH = "nnlab.config_hash"


class Noted(NamedTuple):
    """Attributes.

    seals: name of a checkpoint's folder -> SHA-256 of its manifest, None where an older nnlab has not noted it; without
        those that were removed again.
    config_hash: of the run; None if it is not known.
    """

    seals: dict[str, str | None]
    config_hash: str | None


def of(checkpoints: Path) -> Noted:
    """Return what the journal of a run says.

    Args:
        checkpoints: the folder of the run's checkpoints; one that belongs to no run is said nothing of.
    """
    path = checkpoints.parent / _JOURNAL
    try:
        state = path.stat()
    except OSError:
        return Noted({}, None)
    return _of(path, checkpoints.name, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _of(path: Path, folder: str, _size: int, _changed: int) -> Noted:
    seals: dict[str, str | None] = {}
    config_hash: str | None = None
    below = f"{folder}/epoch-"
    mark = below.encode()
    with path.open("rb") as file:
        for line in file:  # most are metrics, and not read
            if mark not in line and _CONFIG_HASH.encode() not in line:
                continue
            event: Event = (journal_lines.parse(line) if line.endswith(b"\n") else None) or {}
            tags, artifact = event.get("tags"), str(event.get("path"))
            if event.get("type") in ("run", "tags") and isinstance(tags, dict):
                config_hash = tags.get(_CONFIG_HASH, config_hash)
            elif event.get("type") == "artifact" and artifact.startswith(below):
                seals[Path(artifact).name] = event.get("sha256")
            elif event.get("type") == "pruned":
                seals.pop(Path(artifact).name, None)
    return Noted(seals, config_hash)
