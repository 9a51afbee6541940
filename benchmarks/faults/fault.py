"""Fault: something that goes wrong, what must hold all the same, and how often that was tried."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from joblib import Parallel, delayed

from nnlab.one_line import one_line

Case = TypeVar("Case")

_SHOWN = 500  # characters of a loss


@dataclass
class Found:
    """What some trials have shown.

    Attributes:
        tried: trials made.
        losses: one line for each trial in which the promise did not hold.
        notes: what else there is to say of them all, in whole sentences: what was hit, what it took.
    """

    tried: int = 0
    losses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: Found) -> Found:
        return Found(self.tried + other.tried, self.losses + other.losses, self.notes + other.notes)


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        times: trials; None for each case that there is, where they can be counted.
        seed: of everything that is drawn.
        jobs: trials at a time.
    """

    times: int | None
    seed: int
    jobs: int = 1

    def draw(self) -> random.Random:
        """Return a new stream of random numbers, the same one for the same seed."""
        return random.Random(self.seed)

    def chosen(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Return all cases, or as many as are to be tried, the first and the last among them, the others drawn."""
        if self.times is None or self.times >= len(cases):
            return cases
        ends = {0, len(cases) - 1} if self.times > 1 else set()
        left = [place for place in range(len(cases)) if place not in ends]
        places = ends | set(self.draw().sample(left, self.times - len(ends)))
        return [cases[place] for place in sorted(places)]


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        title: the fault, as a newcomer would say it.
        promise: what must hold.
        inject: tries it.
        times: in the whole run; None for each case that there is.
        short: in the short version, which is a test.
    """

    title: str
    promise: str
    inject: Callable[[Effort], Found]
    times: int | None
    short: int


def each(trial: Callable[[Case], Iterable[str]], cases: Sequence[Case], effort: Effort) -> Found:
    """Try every case, and count those with a problem.

    Args:
        trial: tries one and gives what is wrong then, a line each; whatever it raises is a problem too.
        cases: the trials' inputs; the ``repr`` of one should say which it is.
        effort: how many at a time.
    """

    def guarded(case: Case) -> str | None:
        try:
            problems = list(trial(case))
        except Exception as error:  # whatever it is, it is this trial's result
            problems = [f"{type(error).__name__}: {error}"]
        return f"{'; '.join(problems)} ({case!r})" if problems else None

    losses = Parallel(n_jobs=effort.jobs, backend="threading")(delayed(guarded)(case) for case in cases)
    return Found(len(cases), [one_line(loss)[:_SHOWN] for loss in losses if loss])
