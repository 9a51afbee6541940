import doctest
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.optim import ReduceOnPlateau, plateau

FROM_PYTORCH: list[tuple[dict[str, Any], list[float], list[float]]] = [
    ({"factor": 0.5, "patience": 1}, [1, 0.9, 0.9, 0.95, 0.9, 0.5, 0.5, 0.5, 0.5], [1, 1, 1, *[0.5] * 4, 0.25, 0.25]),
    (
        {"monitor": "val/accuracy", "factor": 0.5, "patience": 0, "cooldown": 2, "threshold": 0.01},
        [0.5, *[0.6] * 8],
        [1, 1, *[0.5] * 3, *[0.25] * 3, 0.125],
    ),
    (
        {"factor": 0.5, "patience": 1},
        [math.nan, math.nan, 1, math.nan, math.nan, 1, 0.9],
        [1, *[0.5] * 3, 0.25, 0.25, 0.25],
    ),
    ({"factor": 0.1, "patience": 0, "minimum": 0.02}, [1] * 6, [1, 0.1, *[0.02] * 4]),
    ({"factor": 0.5, "patience": 0, "threshold": 0.05}, [1, 0.96, 0.92, 0.88, 0.84], [1, 0.5, 0.5, 0.25, 0.25]),
]
"""What torch 2.13's ReduceLROnPlateau gives with eps=0: settings, observed values, multiplier after each."""


@pytest.mark.parametrize(("arguments", "values", "multipliers"), FROM_PYTORCH)
def test_as_pytorch(arguments: dict[str, Any], values: list[float], multipliers: list[float]) -> None:
    schedule, seen = ReduceOnPlateau(10, **arguments), []
    assert schedule(0) == 1
    for t, value in enumerate(values):
        schedule.observe(value)
        seen.append(schedule(t))
    assert seen == pytest.approx(multipliers, rel=1e-15)


def test_the_docstrings_example_is_right() -> None:
    outcome = doctest.testmod(plateau)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(
    values=st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=20),
    cut=st.integers(0, 20),
    patience=st.integers(0, 2),
    cooldown=st.integers(0, 2),
    monitor=st.sampled_from(["val/loss", "train/accuracy"]),
)
@settings(deadline=None, max_examples=50)
def test_it_goes_on_from_what_was_saved(
    values: list[float], cut: int, patience: int, cooldown: int, monitor: str
) -> None:
    def fresh() -> ReduceOnPlateau:
        return ReduceOnPlateau(10, monitor=monitor, patience=patience, cooldown=cooldown, factor=0.5)

    whole, first, second = fresh(), fresh(), fresh()
    for value in values:
        whole.observe(value)
    for value in values[:cut]:
        first.observe(value)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    for value in values[cut:]:
        second.observe(value)
    assert second.state_dict() == whole.state_dict()
    assert second(3) == whole(3)


def test_a_minimum_above_1_does_not_raise_the_learning_rate() -> None:
    schedule = ReduceOnPlateau(10, patience=0, minimum=2.0)
    for _ in range(3):
        schedule.observe(1.0)
    assert schedule(0) == 1


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"factor": 1.0}, "factor must be at least 0 and below 1, got 1.0"),
    ({"factor": math.nan}, "factor must be at least 0 and below 1, got nan"),
    ({"patience": -1}, "patience must be at least 0, got -1"),
    ({"threshold": -0.1}, "threshold must be at least 0 and below 1, got -0.1"),
    ({"cooldown": -1}, "cooldown must be at least 0, got -1"),
    ({"minimum": -0.1}, "minimum must be at least 0, got -0.1"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_is_out_of_range_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReduceOnPlateau(10, **arguments)
