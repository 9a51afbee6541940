"""Spaces beside Hydra's own grammar."""

import math
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nnlab.errors import NnlabError
from nnlab.search.space import Dimension, dimensions

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


def dimension(override: str) -> Dimension:
    (found,) = dimensions([override])
    return found


def hydra_reads(override: str) -> Any:
    """Return the value that Hydra itself gives a key."""
    return OverridesParser.create().parse_overrides([override])[0].value()


def hydra_sweeps(override: str) -> list[Any]:
    """Return the values that Hydra's own sweep goes through."""
    return list(OverridesParser.create().parse_overrides([override])[0].sweep_iterator())


def suggestions(of: Dimension) -> list[Any]:
    """Return all that Optuna can suggest of a range or choice."""
    given = of.distribution
    if isinstance(given, CategoricalDistribution):
        return list(given.choices)
    assert isinstance(given, (IntDistribution, FloatDistribution))
    assert given.step is not None
    return [given.low + at * given.step for at in range(round((given.high - given.low) / given.step) + 1)]


@settings(max_examples=25, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_a_range_of_whole_numbers_is_that_of_a_sweep(start: int, stop: int, step: int) -> None:
    override = f"k=range({start},{stop},{step})"
    swept = hydra_sweeps(override)
    if not swept:
        with pytest.raises(NnlabError, match="the range is empty"):
            dimension(override)
        return
    assert [dimension(override).value(each) for each in suggestions(dimension(override))] == swept


@settings(max_examples=25, deadline=None)
@given(st.integers(-20, 20), st.integers(1, 40), st.sampled_from([0.1, 0.25, 0.3, 1.5]))
def test_a_range_of_others_gives_the_numbers_of_a_sweep_to_the_last_bit(start: int, steps: int, step: float) -> None:
    override = f"k=range({start / 10},{start / 10 + steps * step},{step})"
    swept = [float(each) for each in hydra_sweeps(override)]
    found = dimension(override)
    assert [float(found.value(each)) for each in suggestions(found)] == swept
    assert [float(hydra_reads(found.text(each))) for each in suggestions(found)] == swept


@settings(max_examples=25, deadline=None)
@given(NUMBERS, NUMBERS, st.floats(0, 1))
def test_what_an_interval_gives_is_what_hydra_reads(one: float, other: float, share: float) -> None:
    low, high = sorted((one, other))
    found = dimension(f"k=interval({low},{high})")
    assert isinstance(found.distribution, FloatDistribution)
    assert (found.distribution.low, found.distribution.high, found.distribution.log) == (low, high, False)
    suggested = min(high, low + share * (high - low))
    assert hydra_reads(found.text(suggested)) == suggested


PLAIN = ["relu", "'a b'", "[8]", "[16,8]", '"1"', "0.5", "7", "-3", "1e-5"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(PLAIN), min_size=2, unique=True), st.booleans())
def test_a_choice_gives_each_value_as_a_sweep_would(texts: list[str], is_simple: bool) -> None:
    listed = ",".join(texts)
    override = f"k={listed}" if is_simple else f"k=choice({listed})"
    found = dimension(override)
    parsed = OverridesParser.create().parse_overrides([override])[0]
    swept = [
        f"k={text}" for text in parsed.sweep_iterator(transformer=Transformer.str)
    ]  # as the basic sweeper has them
    assert [found.text(each) for each in suggestions(found)] == swept
    assert [found.value(each) for each in suggestions(found)] == [hydra_reads(each) for each in swept]


def test_null_is_a_value() -> None:
    assert [dimension("k=null,8").text(each) for each in (None, 8)] == ["k=null", "k=8"]


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("k=interval(1,10)", FloatDistribution(1, 10)),
        ("k=tag(log,interval(0.001,1))", FloatDistribution(0.001, 1, log=True)),
        ("k=int(interval(1,10))", IntDistribution(1, 10)),
        ("k=tag(log,int(interval(1,10)))", IntDistribution(1, 10, log=True)),
        ("k=int(tag(log,interval(1,10)))", IntDistribution(1, 10, log=True)),
        ("k=range(4)", IntDistribution(0, 3)),
        ("k=range(16,129,16)", IntDistribution(16, 128, step=16)),
        ("k=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("k=range(5,0,-2)", IntDistribution(1, 5, step=2)),
        ("g=relu,tanh", CategoricalDistribution(["relu", "tanh"])),
        ("k=[8],[16,8]", CategoricalDistribution(["[8]", "[16,8]"])),
    ],
)
def test_each_form_becomes_this_distribution(override: str, wanted: object) -> None:
    assert dimension(override).distribution == wanted


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("k=interval(1,0)", "it begins at 1.0, above its end at 0.0"),
        ("k=tag(log,interval(0,1))", "begins above 0"),
        ("k=interval(0,inf)", "finite"),
        ("k=choice(1,nan)", "finite"),
        ("k=range(3,3)", "empty"),
        ("k=range(0,1,0)", "step other than 0"),
        ("k=range(1000000)", "more than 1,000 values"),
        ("k=tag(slow,interval(0,1))", "the only tag"),
        ("k=tag(log,choice(1,2))", "the only tag"),
        ("k=${other},1", "refers to no other setting"),
        ("k=1,1.0", "equal"),
        ("k=1,true", "equal"),
    ],
)
def test_what_is_no_space_ends_in_one_line(override: str, words: str) -> None:
    with pytest.raises(NnlabError, match=words) as caught:
        dimension(override)
    assert "\n" not in str(caught.value)
    assert "k=" in str(caught.value)


def test_a_key_is_searched_once() -> None:
    with pytest.raises(NnlabError, match="k is searched twice"):
        dimensions(["k=1,2", "k=interval(0,1)"])


def test_an_end_of_a_log_scale_is_not_lost() -> None:
    assert math.isclose(dimension("k=tag(log,interval(1e-7,1))").ends[0], 1e-7)
