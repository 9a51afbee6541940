"""Thinning against a statement of its promise, tried on every epoch."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.tracking.thinning import Thinning

TRAINED, EVALUATED = ("train/loss", "train/accuracy", "lr", "time/train_seconds"), ("val/loss", "test/accuracy")


def assert_evenly_spaced(kept: list[int]) -> None:
    gaps = [after - before for before, after in itertools.pairwise(kept)]
    assert max(gaps) - min(gaps) <= 1


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.integers(1001, 6000), eval_every=st.integers(1, 700), max_points=st.integers(3, 400), best=st.integers(0)
)
def test_long_runs_keep_at_most_max_points_with_the_first_and_the_last(
    epochs: int, eval_every: int, max_points: int, best: int
) -> None:
    thinning = Thinning.of(epochs, eval_every, max_points)
    evaluated = [epoch for epoch in range(epochs + 1) if epoch % eval_every == 0 or epoch == epochs]
    for names, there in ((TRAINED, list(range(1, epochs + 1))), (EVALUATED, evaluated)):
        for name in names:
            kept = [epoch for epoch in there if thinning.keeps(name, epoch)]
            with_best = {*kept, there[best % len(there)]}
            assert {there[0], there[-1]} <= set(kept)
            assert len(with_best) <= max_points
            assert len(kept) == min(len(there), max_points - 1)  # no fewer than it may
            if name in TRAINED and len(kept) > 2:
                assert_evenly_spaced(kept)
    places = [place for place, epoch in enumerate(evaluated) if thinning.keeps("val/loss", epoch)]
    if len(places) > 2:
        assert_evenly_spaced(places)


@given(epochs=st.integers(0, 1000), eval_every=st.integers(1, 50), max_points=st.none() | st.integers(3, 400))
def test_short_runs_are_kept_whole(epochs: int, eval_every: int, max_points: int | None) -> None:
    thinning = Thinning.of(epochs, eval_every, max_points)
    assert all(thinning.keeps(name, epoch) for name in TRAINED + EVALUATED for epoch in range(epochs + 1))


def test_without_max_points_long_runs_are_too() -> None:
    thinning = Thinning.of(200_000, 7, None)
    assert all(thinning.keeps("train/loss", epoch) for epoch in range(200_001))


def test_what_is_there_once_is_always_kept() -> None:
    thinning = Thinning.of(5000, 1, 3)
    assert not thinning.keeps("val/loss", 4999)
    assert all(thinning.keeps(name, 4999) for name in ("final/test_loss", "best/epoch"))
