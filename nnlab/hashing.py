"""The one canonical hash of configurations, and the hash of the engine's own sources."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

_ENGINE = ("nn/*.py", "optim/*.py", "data/*.py", "training/*.py", "scratch.py", "build*.py")


def canonical_hash(value: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces, ASCII), 64 hex digits.

    Raises:
        ValueError: NaN or Inf, which JSON has not.
        TypeError: something that JSON has not.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def code_version() -> str:
    """Return the SHA-256 of the sources that decide a run's numbers: engine, data, and what builds them."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _ENGINE for path in root.glob(pattern)}):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
        digest.update(b"\0")
    return digest.hexdigest()
