"""Extent: how many jobs a sweep spans, told before they are listed one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from nnlab.errors import NnlabError

MOST = 25_000
"""Jobs of a sweep: about as many as its plan, a file of at most 100 MB, has room for."""


def check_extent(overrides: Sequence[Override]) -> None:
    """Refuse sweeps that would take for ever to be listed.

    Raises:
        NnlabError: an override has no number of values, or all together span too many jobs.
    """
    jobs = math.prod(map(_values, overrides))
    if jobs > MOST:
        shown = f"{jobs:,}" if jobs < 10**12 else "over 10^12"
        raise NnlabError(f"{shown} jobs are more than the {MOST:,} that one sweep can have: divide it into several")


def _values(override: Override) -> int:
    """Return how many values an override gives its key."""
    value = override.value()
    if override.is_interval_sweep():
        raise NnlabError(f"{override.input_line}: an interval has no values to go through; write range(...) or a,b,c")
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if not isinstance(value, RangeSweep):
        return 1
    start, stop, step = (value.start or 0, value.stop or 0, value.step)
    if step == 0 or not all(map(math.isfinite, (start, stop, step))):
        raise NnlabError(f"{override.input_line}: a range wants finite numbers and a step other than 0")
    return max(0, math.ceil((stop - start) / step))
