import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nnlab.data import Split, fixed, stratified, whole
from nnlab.data.splits import choose
from nnlab.errors import NnlabError

labels = st.lists(st.integers(0, 5), max_size=120).map(lambda values: np.array(values, dtype=np.int64))
fractions = st.sampled_from(
    [(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.71, 0.29, 0.0), (1.0, 0.0, 0.0), (1 / 3, 1 / 3, 1 / 3)]
)


def parts(split: Split) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    return split.train, split.val, split.test


@given(labels, fractions, st.integers(0, 2**32))
@example(np.zeros(100, dtype=np.int64), (0.71, 0.29, 0.0), 0)
def test_stratified_deals_out_every_class_in_proportion(
    y: np.ndarray[tuple[int], np.dtype[np.int64]], shares: tuple[float, float, float], seed: int
) -> None:
    split = stratified(y, shares)(np.random.default_rng(seed))
    assert sorted(np.concatenate(parts(split)).tolist()) == list(range(len(y)))
    for part, share in zip(parts(split), shares, strict=True):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        for label in np.unique(y):
            ideal = share * np.count_nonzero(y == label)
            got = np.count_nonzero(y[part] == label)
            assert math.floor(ideal + 1e-6) <= got <= math.ceil(ideal - 1e-6)
        assert abs(len(part) - share * len(y)) < 2


@given(labels, st.integers(0, 2**32))
def test_stratified_depends_on_the_stream_only(y: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int) -> None:
    splitter = stratified(y)
    first, again, other = (splitter(np.random.default_rng(s)) for s in (seed, seed, seed + 1))
    for a, b, c in zip(parts(first), parts(again), parts(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert len(a) == len(c)


def test_stratified_shuffles() -> None:
    y = np.repeat([0, 1], 50)
    one, two = (stratified(y)(np.random.default_rng(seed)) for seed in (0, 1))
    assert set(one.test) != set(two.test)
    assert set(one.test) != set(range(40, 50)) | set(range(90, 100))


def test_remainders_do_not_pile_up_in_one_part() -> None:
    split = stratified(np.repeat(np.arange(10), 8))(np.random.default_rng(0))
    assert [len(part) for part in parts(split)] == [48, 16, 16]


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.2), (1.2, -0.2, 0.0)])
def test_fractions_are_checked(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        stratified(np.zeros(3, dtype=np.int64), shares)


def test_whole_trains_on_everything_and_draws_nothing() -> None:
    rng = np.random.default_rng(3)
    split = whole(4)(rng)
    assert [part.tolist() for part in parts(split)] == [[0, 1, 2, 3], [], []]
    assert rng.random() == np.random.default_rng(3).random()


def test_fixed_cuts_consecutive_ranges() -> None:
    split = fixed(3, 0, 2)(np.random.default_rng(0))
    assert [part.tolist() for part in parts(split)] == [[0, 1, 2], [], [3, 4]]
    assert all(part.dtype == np.int64 for part in parts(split))


def test_an_unknown_split_is_told_its_choices() -> None:
    with pytest.raises(
        NnlabError, match=r"dataset\.split: wine has no split 'hole'; choose one of whole, half"
    ) as error:
        choose("wine", "hole", {"whole": whole(2), "half": fixed(1, 0, 1)})
    assert "\n" not in str(error.value)
