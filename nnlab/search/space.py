"""Space: from Hydra's sweep syntax to Optuna's distributions, and from a trial's values back to overrides.

- ``optimizer.lr=tag(log,interval(0.001,1))``: any number between, evenly on a logarithmic scale
- ``optimizer.momentum=interval(0,0.99)``: evenly
- ``training.epochs=int(interval(10,90))``: whole numbers, both ends among them; ``tag(log,int(interval(1,100)))`` too
- ``training.batch_size=range(16,129,16)``: steps; as everywhere in Hydra the end is not among them
- ``activation=relu,tanh`` or ``choice(relu,tanh)``: one of these, be it a group's choice or a setting's value
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nnlab.compose import as_override
from nnlab.errors import NnlabError

_MOST = 1000  # values of a choice


@dataclass(frozen=True)
class Dimension:
    """One key of a space.

    Attributes:
        override: as it was given.
        key: that is set, ``+`` included.
        distribution: of its values.
        values: those of a choice or range; empty for an interval.
        texts: those of a choice, as Hydra writes them.
    """

    override: str
    key: str
    distribution: BaseDistribution
    values: tuple[Any, ...]
    texts: tuple[str, ...] = ()

    @property
    def ends(self) -> list[Any]:
        """The values that show whether all can work: the two ends, or every choice; as Optuna has them."""
        given = self.distribution
        if isinstance(given, (FloatDistribution, IntDistribution)):
            return list(dict.fromkeys((given.low, given.high)))
        assert isinstance(given, CategoricalDistribution)  # noqa: S101 - there are no others
        return list(given.choices)

    def value(self, suggested: Any) -> Any:
        """Return what a config gets for what Optuna has suggested."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.values[self.distribution.choices.index(suggested)]
        if self.values:  # as Hydra counts: low + 2 * step may be another float
            return min(self.values, key=lambda value: abs(value - suggested))
        return suggested

    def text(self, suggested: Any) -> str:
        """Return the override that sets it."""
        if isinstance(self.distribution, CategoricalDistribution):
            return f"{self.key}={self.texts[self.distribution.choices.index(suggested)]}"
        return as_override(self.key, self.value(suggested))


def dimensions(overrides: Sequence[str | Override]) -> list[Dimension]:
    """Return the dimensions that overrides span.

    Args:
        overrides: each with several values; parsed, or to be.

    Raises:
        NnlabError: one is no space; one line.
    """
    parser = OverridesParser.create()
    found: dict[str, Dimension] = {}
    for each in overrides:
        override = parser.parse_overrides([each])[0] if isinstance(each, str) else each
        dimension = _dimension(override)
        if dimension.key in found:
            raise NnlabError(
                f"{dimension.key} is searched twice: {found[dimension.key].override}, {override.input_line}"
            )
        found[dimension.key] = dimension
    return list(found.values())


def _dimension(override: Override) -> Dimension:
    line, value = str(override.input_line), override.value()
    tags = set(getattr(value, "tags", ()))
    if tags - {"log"} or (tags and not isinstance(value, IntervalSweep)):
        raise NnlabError(f"{line}: tag(log,interval(a,b)) is the only tag that a search knows")
    if getattr(value, "shuffle", False):
        raise NnlabError(f"{line}: to shuffle means nothing to a search")
    if "${" in line:
        raise NnlabError(f"{line}: a value of a search refers to no other setting")
    try:
        if isinstance(value, IntervalSweep):
            return Dimension(line, override.get_key_element(), _interval(value, log="log" in tags), ())
        if isinstance(value, RangeSweep):
            return Dimension(line, override.get_key_element(), *_range(value))
        return Dimension(line, override.get_key_element(), *_choice(override))
    except (ValueError, OverflowError) as error:
        raise NnlabError(f"{line}: {error}") from error


def _interval(value: IntervalSweep, *, log: bool) -> BaseDistribution:
    low, high = value.start, value.end
    assert low is not None  # noqa: S101 - Hydra's grammar wants both
    assert high is not None  # noqa: S101
    _check_finite(low, high)
    if low > high:
        raise ValueError(f"it begins at {low}, above its end at {high}")
    if log and low <= 0:
        raise ValueError(f"on a logarithmic scale it begins above 0, not at {low}")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _range(value: RangeSweep) -> tuple[BaseDistribution, tuple[Any, ...]]:
    start, stop, step = value.start or 0, value.stop or 0, value.step
    _check_finite(start, stop, step)
    if step == 0:
        raise ValueError("a range wants a step other than 0")
    if (stop - start) / step > _MOST:
        raise ValueError(f"a range of more than {_MOST:,} values; write interval(a,b)")
    values = tuple(sorted(value.range()))
    if not values:
        raise ValueError("the range is empty")
    if all(isinstance(each, int) for each in values):
        return IntDistribution(values[0], values[-1], step=abs(int(step))), values
    low, exact = Decimal(str(values[0])), abs(Decimal(str(step)))  # Optuna wants the step to divide the range
    return FloatDistribution(float(low), float(low + exact * (len(values) - 1)), step=float(exact)), values


def _choice(override: Override) -> tuple[BaseDistribution, tuple[Any, ...], tuple[str, ...]]:
    """Take each value as it is, or as Hydra writes it where Optuna keeps no such kind: a list, a mapping."""
    key, values = override.get_key_element(), dict[tuple[type, Any], tuple[Any, str]]()
    for element in override.sweep_iterator():  # with its quotes, unlike those of ``value``
        text = Override._get_value_element_as_str(element)
        parsed: Any = OverridesParser.create().parse_overrides([f"{key}={text}"])[0].value()
        plain: Any = text if isinstance(parsed, (list, dict)) else parsed
        if isinstance(plain, float):
            _check_finite(plain)
        values[type(plain), plain] = parsed, text
    if not values:
        raise ValueError("there is nothing to choose from")
    if len(values) > _MOST:
        raise ValueError(f"more than {_MOST:,} values; write interval(a,b) or range(a,b,step)")
    if len({plain for _, plain in values}) < len(values):
        raise ValueError("two of its values are equal, as 1 and 1.0 and true are")
    found, texts = zip(*values.values(), strict=True)
    return CategoricalDistribution([plain for _, plain in values]), found, texts


def _check_finite(*numbers: float) -> None:
    if not all(map(math.isfinite, numbers)):
        raise ValueError("its numbers are to be finite")
