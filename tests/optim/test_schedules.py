import doctest
import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.optim import Schedule, per_epoch, schedules
from nnlab.optim.schedules import (
    constant,
    cosine,
    exponential,
    inverse,
    one_cycle,
    piecewise,
    polynomial,
    step,
    warmup,
)

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
    (warmup(constant(6), warmup=4), {0: 0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1, 5: 1, 100: 1}),
    (warmup(constant(5), warmup=5, start=0.1), {0: 0.1, 1: 0.28, 4: 0.82, 5: 1, 6: 1}),
    (warmup(exponential(9, gamma=0.5), warmup=1, start=0.5), {0: 0.5, 1: 1, 2: 0.5, 3: 0.25}),
    (warmup(exponential(8, gamma=0.5), warmup=2, start=3.0), {0: 3, 1: 2, 2: 1, 3: 0.5}),
    (warmup(exponential(8, gamma=0.5), warmup=0, start=0.3), {0: 1, 1: 0.5}),
    (polynomial(4), {0: 1, 1: 0.75, 3: 0.25, 4: 0, 9: 0}),
    (polynomial(4, power=0.5, final=0.2), {0: 1, 1: 0.2 + 0.8 * math.sqrt(0.75), 3: 0.6, 4: 0.2, 9: 0.2}),
    (piecewise(9, milestones=[2, 5], multipliers=[0.5, 2, 0.0]), {0: 0.5, 1: 0.5, 2: 2, 4: 2, 5: 0, 100: 0}),
    (piecewise(9, milestones=[], multipliers=[0.5]), {0: 0.5, 8: 0.5}),
    (piecewise(9, milestones=[0], multipliers=[7.0, 0.5]), {0: 0.5, 8: 0.5}),
    # Up in 4 to t = 4, down in 5 to t = 9.
    (
        one_cycle(10, pct_start=0.5, div_factor=5, final_div_factor=2, anneal="linear"),
        {0: 0.2, 1: 0.4, 4: 1, 5: 0.82, 8: 0.28, 9: 0.1, 10: 0.1, 99: 0.1},
    ),
    (one_cycle(9, pct_start=5 / 9, div_factor=4), {0: 0.25, 2: 0.625, 4: 1, 6: (1 + 25e-6) / 2, 8: 25e-6}),
    (one_cycle(1), {0: 4e-6, 5: 4e-6}),
    (one_cycle(10, pct_start=0.1), {0: 1, 9: 4e-6}),
    (one_cycle(1, pct_start=1.0), {0: 1, 1: 1}),
    (one_cycle(5, pct_start=1.0, anneal="linear"), {0: 0.04, 2: 0.52, 4: 1, 5: 1}),
]


FROM_PYTORCH: list[tuple[Schedule, list[float]]] = [
    # PolynomialLR(total_iters=5, power=2)
    (polynomial(5, power=2.0), [1.0, 0.6400000000000001, 0.36, 0.16000000000000003, 0.03999999999999999, 0.0, 0.0]),
    # OneCycleLR(max_lr=1, total_steps=10)
    (
        one_cycle(10),
        [
            *(0.040000000000000036, 0.52, 1.0, 0.9504846320134737, 0.8117456539497631),
            *(0.6112620219362893, 0.38874197806371075, 0.18825834605023697, 0.049519367986526286, 4e-06),
        ],
    ),
    # OneCycleLR(max_lr=1, total_steps=8, pct_start=0.45, div_factor=4, final_div_factor=10, anneal_strategy="linear")
    (
        one_cycle(8, pct_start=0.45, div_factor=4.0, final_div_factor=10.0, anneal="linear"),
        [
            *(0.25, 0.5384615384615384, 0.8269230769230769, 0.9113636363636364),
            *(0.6897727272727273, 0.46818181818181825, 0.2465909090909092, 0.025000000000000022),
        ],
    ),
    # SequentialLR([LinearLR(start_factor=0.25, total_iters=3), CosineAnnealingLR(T_max=5)], milestones=[3])
    (
        warmup(cosine(5), warmup=3, start=0.25),
        [
            *(0.25, 0.5, 0.75, 1.0, 0.9045084971874737),
            *(0.6545084971874737, 0.3454915028125263, 0.09549150281252632, 0.0),
        ],
    ),
    # MultiStepLR(milestones=[2, 5], gamma=0.5)
    (piecewise(7, milestones=[2, 5], multipliers=[1.0, 0.5, 0.25]), [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]),
]
"""What torch 2.13 gives."""


@pytest.mark.parametrize(("schedule", "values"), FROM_PYTORCH)
def test_as_pytorch(schedule: Schedule, values: list[float]) -> None:
    assert [schedule(t) for t in range(len(values))] == pytest.approx(values, rel=1e-13, abs=1e-15)


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
    "schedule",
    [
        constant(5),
        inverse(5),
        step(5, step_size=2),
        exponential(5),
        cosine(5),
        polynomial(5),
        one_cycle(5),
        one_cycle(5, pct_start=0.2),
        piecewise(5, milestones=[2], multipliers=[1, 0]),
        warmup(constant(3), warmup=2, start=1),
    ],
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
        (polynomial, "final", {}),
        (piecewise, "multipliers", {"milestones": []}),
        (lambda total, **settings: warmup(constant(total), **settings), "start", {"warmup": 3}),
    ],
)
def test_a_factor_below_zero_is_refused(
    make: Callable[..., Schedule], name: str, others: dict[str, Any], value: float
) -> None:
    given = [value] if name == "multipliers" else value
    with pytest.raises(ValueError, match=re.escape(f"{name} must be at least 0, got {given}")):
        make(10, **{name: given}, **others)


@pytest.mark.parametrize("value", [0, -3])
def test_a_length_below_1_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"step_size must be at least 1, got {value}"):
        step(10, step_size=value)


REFUSED: list[tuple[Callable[..., Schedule], dict[str, Any], str]] = [
    (polynomial, {"power": 0.0}, "power must be above 0, got 0.0"),
    (polynomial, {"power": math.nan}, "power must be above 0, got nan"),
    (one_cycle, {"pct_start": 1.1}, "pct_start must be at least 0 and at most 1, got 1.1"),
    (one_cycle, {"pct_start": math.nan}, "pct_start must be at least 0 and at most 1, got nan"),
    (one_cycle, {"div_factor": 0.0}, "div_factor must be above 0, got 0.0"),
    (one_cycle, {"final_div_factor": -1.0}, "final_div_factor must be above 0, got -1.0"),
    (piecewise, {"milestones": [5, 5], "multipliers": [1, 1, 1]}, "milestones must be ascending, got [5, 5]"),
    (
        piecewise,
        {"milestones": [5, 7], "multipliers": [1.0, 0.1]},
        "multipliers must be one more than milestones, got 2 for 2 milestones",
    ),
]


@pytest.mark.parametrize(("make", "arguments", "message"), REFUSED)
def test_what_is_out_of_range_is_refused(make: Callable[..., Schedule], arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make(10, **arguments)


def test_a_warmup_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup must be at least 0, got -1"):
        warmup(constant(10), warmup=-1)
