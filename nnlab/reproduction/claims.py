"""Claims: what an experiment says that it reaches, and the verdict on what was reached."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nnlab.training.evaluation import higher_is_better

_ROUNDING = 1e-9
"""What a claim may be off by because it was printed with so many digits: 177 of 178 as 0.994382022472."""

Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Verdict(enum.StrEnum):
    """What became of a claim; see ``judge``."""

    BETTER = "BETTER"
    REPRODUCED = "REPRODUCED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    REPORTED = "reported"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Figure(_Section):
    """One number.

    Attributes:
        metric: as journalled: ``final/test_accuracy``, or with an epoch ``test/accuracy``.
        epoch: of which epoch; None for the last value.
        value: claimed; for ``spread`` the reference's values, one a seed.
        judged: ``at_least`` value; each run ``equal`` to it within ``within``; not below the ``spread`` of the
            reference's values. None: reported only.
        within: for ``equal``.
    """

    metric: str
    epoch: Annotated[int, Field(ge=0)] | None = None
    value: float | list[float] | None = None
    judged: Literal["at_least", "equal", "spread"] | None = None
    within: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Figure:
        if (self.judged is None) != (self.value is None):
            raise ValueError("value and judged go together; a figure with neither is reported only")
        if (self.judged == "spread") != isinstance(self.value, list):
            raise ValueError("a list of values is what judged: spread takes, and nothing else does")
        if (self.judged == "equal") != (self.within is not None):
            raise ValueError("within is what judged: equal takes, and nothing else does")
        if self.judged == "at_least" and not higher_is_better(self.metric):
            raise ValueError(f"judged: at_least is for accuracies, {self.metric} should fall")
        return self

    @property
    def name(self) -> str:
        """The metric, and the epoch where one is meant."""
        return self.metric if self.epoch is None else f"{self.metric} at epoch {self.epoch}"

    @property
    def claimed(self) -> str:
        """What is claimed, in a few characters; empty for nothing."""
        if isinstance(self.value, list):
            return f"{self.shown(min(self.value))} to {self.shown(max(self.value))}"
        if self.value is None:
            return ""
        return f"{self.shown(self.value)} ± {self.within:g}" if self.within else f"≥ {self.shown(self.value)}"

    def shown(self, value: float) -> str:
        """Return a value of the metric with as many digits as are worth showing."""
        return f"{value:.4f}" if self.metric.endswith("accuracy") else f"{value:.6f}"


class Protocol(_Section):
    """How figures are measured: on what, with which seeds, with which settings on top of the experiment's.

    Attributes:
        protocol: in words: what it trains on, what it is measured on.
        overrides: dotted key, or group -> value.
        seeds: of the runs.
        figures: to be measured.
    """

    protocol: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    seeds: Seeds
    figures: Annotated[list[Figure], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Protocol:
        if not self.protocol.isprintable():
            raise ValueError("protocol: it is shown in one line, so it must be printable")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is given twice: that would count one run twice")
        for key in self.overrides:
            if key.startswith("hydra") or not re.fullmatch(r"[\w.@]+", key):
                raise ValueError(f"overrides: {key!r} is no key of a run's configuration")
        for figure in self.figures:
            if isinstance(figure.value, list) and len(figure.value) != len(self.seeds):
                raise ValueError(
                    f"{figure.name}: {len(figure.value)} reference values for {len(self.seeds)} seeds; a spread is "
                    "compared over as many"
                )
        return self


class Claim(Protocol):
    """What an experiment claims.

    Attributes:
        system: which of the five published systems, or ``own``.
        kind: ``published``: the source printed the value. ``rerun``: it did not; the value comes from an independent
            run of its algorithm. ``own``: ours.
        cost: seconds on 2 cores, all seeds of both protocols.
        honest: the protocol beside the source's where that one flatters.
    """

    system: Literal["S0", "S1", "S2", "S3", "S4", "own"]
    kind: Literal["published", "rerun", "own"]
    cost: Annotated[float, Field(ge=0)]
    honest: Protocol | None = None


@dataclass(frozen=True)
class Reached:
    """What some runs reached.

    Attributes:
        values: one a finished run.
        mean: of them.
        low: end of the 95 % interval of the mean by Student's t; None for a single value.
        high: the other end.
    """

    values: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None


def reached(values: Sequence[float]) -> Reached:
    """Return the mean of some values, at least one, and its 95 % interval: mean +- t(0.975, n - 1) s / sqrt(n)."""
    from scipy import stats  # takes a second to import

    mean = float(np.mean(values))
    if len(set(values)) == 1:
        return Reached(tuple(values), values[0], *((None, None) if len(values) == 1 else (values[0], values[0])))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Reached(tuple(values), mean, mean - half, mean + half)


def judge(figure: Figure, of: Reached | None, failed: int = 0) -> Verdict:
    """Return the verdict on a figure.

    REPRODUCED: the mean meets the claim. BETTER: it does, and its whole 95 % interval lies on the good side of the
    claim (of all the reference's values), which a single run can't show; nothing is better than equal. NOT REPRODUCED:
    anything else, also where a run failed or has no such number.

    The spread of a reference is met by a mean that is no worse than the worst of its values, and whose interval reaches
    the interval of the reference's mean: one reference run that got stuck would else excuse many of ours.

    Args:
        figure: with its claim.
        of: what was reached; None if no run got so far.
        failed: how many runs did not finish.
    """
    if figure.judged is None:
        return Verdict.REPORTED
    if of is None or failed or not math.isfinite(of.mean):
        return Verdict.NOT_REPRODUCED
    values = np.atleast_1d(np.asarray(figure.value, np.float64))
    if figure.judged == "equal":
        assert figure.within is not None  # noqa: S101 - the schema's
        off = np.abs(np.array(of.values) - values[0]).max()
        return Verdict.REPRODUCED if off <= figure.within else Verdict.NOT_REPRODUCED
    sign = 1 if higher_is_better(figure.metric) else -1
    worst, best = (sign * values).min(), (sign * values).max()
    if sign * of.mean < worst - _ROUNDING or (
        figure.judged == "spread" and _is_below(of, reached(values.tolist()), sign)
    ):
        return Verdict.NOT_REPRODUCED
    low, _ = _interval(of, sign)
    return Verdict.BETTER if len(of.values) > 1 and low > best + _ROUNDING else Verdict.REPRODUCED


def _is_below(of: Reached, reference: Reached, sign: int) -> bool:
    """Say whether the whole interval of one mean is worse than that of another; a single run has no interval."""
    if len(of.values) == 1:
        return False
    return _interval(of, sign)[1] < _interval(reference, sign)[0] - _ROUNDING


def _interval(of: Reached, sign: int) -> tuple[float, float]:
    """Return the ends of a mean's interval, the worse one first, so that higher is better."""
    ends = (sign * of.mean, sign * of.mean) if of.low is None or of.high is None else (sign * of.low, sign * of.high)
    return min(ends), max(ends)
