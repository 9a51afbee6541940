import doctest
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.optim import Schedule, per_epoch, schedules
from nnlab.optim.schedules import constant, cosine, exponential, inverse, linear_warmup, step

BY_HAND: list[tuple[Schedule, dict[int, float]]] = [
    (constant(10), {0: 1, 5: 1, 1000: 1}),
    (inverse(800), {0: 1, 800: 1.4**-0.75, 2000: 2**-0.75, 6000: 1 / 2**1.5}),
    (inverse(800, gamma=1, power=1), {0: 1, 1: 1 / 2, 3: 1 / 4}),
    (inverse(800, gamma=3, power=0.5), {0: 1, 1: 1 / 2, 5: 1 / 4}),
    (inverse(800, gamma=0), {0: 1, 799: 1}),
    (step(90, step_size=30), {0: 1, 29: 1, 30: 0.1, 59: 0.1, 60: 0.01, 89: 0.01}),
    (step(6, step_size=1, gamma=0.5), {0: 1, 1: 0.5, 2: 0.25, 5: 1 / 32}),
    (step(6, step_size=2, gamma=0), {0: 1, 1: 1, 2: 0, 5: 0}),
    (exponential(10), {0: 1, 1: 0.95, 2: 0.9025}),
    (exponential(10, gamma=0.5), {0: 1, 1: 0.5, 10: 1 / 1024}),
    (cosine(4), {0: 1, 1: (1 + math.sqrt(0.5)) / 2, 2: 0.5, 3: (1 - math.sqrt(0.5)) / 2, 4: 0, 5: 0, 8: 0}),
    (cosine(6, final=0.1), {0: 1, 2: 0.1 + 0.9 * 0.75, 3: 0.55, 4: 0.1 + 0.9 * 0.25, 6: 0.1, 7: 0.1}),
    (linear_warmup(10, warmup=4), {0: 0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1, 5: 1, 100: 1}),
    (linear_warmup(10, warmup=5, start=0.1), {0: 0.1, 1: 0.28, 4: 0.82, 5: 1, 6: 1}),
    (linear_warmup(10, warmup=1, start=0.5), {0: 0.5, 1: 1}),
    (linear_warmup(10, warmup=2, start=3.0), {0: 3, 1: 2, 2: 1, 3: 1}),
]


@pytest.mark.parametrize(("schedule", "values"), BY_HAND)
def test_by_hand(schedule: Schedule, values: dict[int, float]) -> None:
    assert [schedule(t) for t in values] == pytest.approx(list(values.values()), rel=1e-14, abs=1e-16)


def test_the_docstrings_examples_are_right() -> None:
    outcome = doctest.testmod(schedules, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(steps_per_epoch=st.integers(1, 9), epochs=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_per_epoch_changes_only_between_epochs(steps_per_epoch: int, epochs: int) -> None:
    """Written down as the list of what every update sees."""
    by_epoch = [0.5**epoch for epoch in range(epochs)]
    expected = list(itertools.chain.from_iterable([value] * steps_per_epoch for value in by_epoch))
    schedule = per_epoch(exponential(epochs, gamma=0.5), steps_per_epoch)
    assert [schedule(update) for update in range(epochs * steps_per_epoch)] == expected


@pytest.mark.parametrize(
    "schedule", [constant(5), inverse(5), step(5, step_size=2), exponential(5), cosine(5), linear_warmup(5, warmup=2)]
)
def test_a_schedule_has_no_memory_and_gives_a_float(schedule: Schedule) -> None:
    forwards = [schedule(t) for t in range(6)]
    assert [schedule(t) for t in reversed(range(6))] == forwards[::-1]
    assert {type(value) for value in forwards} == {float}


@pytest.mark.parametrize("value", [-0.1, math.nan])
@pytest.mark.parametrize(
    ("make", "name", "others"),
    [
        (inverse, "gamma", {}),
        (step, "gamma", {"step_size": 3}),
        (exponential, "gamma", {}),
        (cosine, "final", {}),
        (linear_warmup, "start", {"warmup": 3}),
    ],
)
def test_a_factor_below_zero_is_refused(
    make: Callable[..., Schedule], name: str, others: dict[str, Any], value: float
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0, got {value}"):
        make(10, **{name: value}, **others)


@pytest.mark.parametrize("value", [0, -3])
def test_a_length_below_1_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"step_size must be at least 1, got {value}"):
        step(10, step_size=value)
    with pytest.raises(ValueError, match=f"warmup must be at least 1, got {value}"):
        linear_warmup(10, warmup=value)
