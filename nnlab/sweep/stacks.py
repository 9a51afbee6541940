"""Stacks: how the runs of a sweep are cut into chunks, a stack each, that keep all workers busy till the end."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nnlab import memory
from nnlab.build import build, stack_key
from nnlab.config import Config
from nnlab.errors import NnlabError

_OVERHEAD = 0.1
"""Cost of a stack beside its replicas', in those of the best size: wine's 13-5-5-3 takes 330 ms + 25 ms a replica."""


class Run(NamedTuple):
    """A run as far as it matters here.

    Its config, the epochs that it is to train, after which it begins, and the unit that is not to be cut apart.
    """

    config: Config
    epochs: int
    start: int = 0
    unit: int | None = None


@dataclass(frozen=True)
class _Chunk:
    """Runs to be trained as one stack.

    Attributes:
        runs: their positions, those with the most epochs first.
        epochs: of each of them.
        best: how many of such runs a stack should have.
        units: of each of them.
    """

    runs: tuple[int, ...]
    epochs: tuple[int, ...]
    best: int
    units: tuple[int, ...]

    @property
    def cost(self) -> float:
        """Time to train it; the unit is that of an epoch of as many networks as are the fastest together."""
        return (sum(self.epochs) + _OVERHEAD * self.best * max(self.epochs)) / self.best

    def cut(self, parts: int) -> list[_Chunk]:
        """Return so many parts of sizes that differ by one at most, as far as units can stay whole."""
        whole = [at for at in range(len(self.runs) + 1) if at in (0, len(self.runs)) or self._is_edge(at)]
        ideal = [len(self.runs) * part // parts for part in range(parts + 1)]
        edges = dict.fromkeys(min(whole, key=lambda edge: abs(edge - at)) for at in ideal)
        cuts = [slice(start, end) for start, end in itertools.pairwise(edges)]
        return [_Chunk(self.runs[cut], self.epochs[cut], self.best, self.units[cut]) for cut in cuts]

    def _is_edge(self, at: int) -> bool:
        return self.units[at - 1] != self.units[at]


def cut(runs: Sequence[Run], workers: int, max_stack: int | None = None) -> list[list[int]]:
    """Cut runs into chunks that can each be trained as one stack, none larger than is fast.

    A stack costs less than its runs alone, so there are as few chunks as the sizes allow, unless more of them let the
    workers be done sooner.

    Args:
        runs: of any kind; only those that begin after the same epoch can share a stack.
        workers: how many chunks are trained at the same time.
        max_stack: runs of a chunk at most.

    Returns:
        the runs' positions, a list a chunk, the most expensive one first.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for position, run in enumerate(runs):
        groups.setdefault((stack_key(run.config), run.start), []).append(position)
    chunks: list[_Chunk] = []
    for group in groups.values():
        units = {at: at if (unit := runs[at].unit) is None else len(runs) + unit for at in group}
        longest: dict[int, int] = {}
        for position in group:
            longest[units[position]] = max(runs[position].epochs, longest.get(units[position], 0))
        order = sorted(group, key=lambda position: (-longest[units[position]], units[position]))
        best = _best([runs[position].config for position in order], max_stack)
        left = tuple(max(1, runs[position].epochs - runs[position].start) for position in order)
        whole = _Chunk(tuple(order), left, best, tuple(units[position] for position in order))
        chunks += whole.cut(-(-len(order) // best))
    return [list(chunk.runs) for chunk in _spread(chunks, workers)]


def epochs(configs: Sequence[Config]) -> list[int]:
    """Return how many epochs each run trains; where a number of updates is asked for, its data set decides."""
    of_group: dict[str, int] = {}
    for config in configs:
        if config.training.updates is not None and (key := stack_key(config)) not in of_group:
            of_group[key] = build([config]).plan.epochs
    return [
        config.training.epochs if config.training.updates is None else of_group[stack_key(config)] for config in configs
    ]


def _best(configs: Sequence[Config], max_stack: int | None) -> int:
    try:
        return min(memory.best_stack(configs), max_stack or len(configs))
    except (NnlabError, MemoryError):  # it can't be built any more: whoever trains it says so
        return 1


def _spread(chunks: Sequence[_Chunk], workers: int) -> list[_Chunk]:
    """Halve large chunks as long as the workers are done sooner then; return all, the most expensive one first."""
    trial = found = sorted(chunks, key=_order)
    for _ in range(2 * workers):
        if len(trial) > 4 * workers:  # enough to keep all of them busy till the end
            break
        largest = next((chunk for chunk in trial if len(set(chunk.units)) > 1), None)
        if largest is None:
            break
        trial = sorted([*(chunk for chunk in trial if chunk is not largest), *largest.cut(2)], key=_order)
        if _duration(trial, workers) < _duration(found, workers):
            found = trial
    return found


def _order(chunk: _Chunk) -> tuple[float, int]:
    return -chunk.cost, chunk.runs[0]


def _duration(chunks: Sequence[_Chunk], workers: int) -> float:
    """Return when the last worker is done, if each takes the next chunk as soon as it is free."""
    busy = [0.0] * workers
    for chunk in chunks:
        heapq.heapreplace(busy, busy[0] + chunk.cost)
    return max(busy)
