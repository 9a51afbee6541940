from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_wine, make_moons

from nnlab.data import cache as cache_module
from nnlab.data import hash_arrays, moons, wine
from nnlab.errors import NnlabError


def test_wine_is_the_table_of_scikit_learn() -> None:
    bunch = load_wine()
    for data in (wine(), wine()):  # made, then read from the cache
        np.testing.assert_array_equal(data.x, bunch.data)
        np.testing.assert_array_equal(data.y, bunch.target)
        assert data.feature_names == tuple(bunch.feature_names)
        assert data.class_names == tuple(bunch.target_names)
        assert data.data_hash == hash_arrays(data.x, data.y)
        assert data.x.dtype == np.float64
        assert data.y.dtype == np.int64
        assert data.standardize
        assert data.scale == 1


def test_wine_from_another_table_is_made_again(data_dir: Path) -> None:
    # Its own hashes agree, so that only the pinned one can tell.
    cache_module.prepared("wine", lambda: (np.zeros((178, 13)), np.zeros(178, dtype=np.int64)))
    assert wine().x[0, 0] == 14.23
    assert wine().x[0, 0] == 14.23


def test_wine_that_scikit_learn_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys.modules["nnlab.data.wine"], "DATA_HASH", "0" * 64)
    with pytest.raises(NnlabError, match=r"dataset=wine: scikit-learn .* another wine table"):
        wine()


def test_wine_splits() -> None:
    rng = np.random.default_rng(0)
    split = wine().splitter(rng)
    assert [len(split.train), len(split.val), len(split.test)] == [107, 36, 35]
    split = wine(split="whole").splitter(rng)
    assert [len(split.train), len(split.val), len(split.test)] == [178, 0, 0]


def test_moons_are_those_of_s2() -> None:
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002 - as the article does it
    x, y = make_moons(200, noise=0.20)
    np.random.set_state(state)  # noqa: NPY002
    for data in (moons(), moons()):
        np.testing.assert_array_equal(data.x, x)
        np.testing.assert_array_equal(data.y, y)
        assert data.data_hash == hash_arrays(x, y)
        assert data.x.dtype == np.float64
        assert data.y.dtype == np.int64
        assert not data.standardize


def test_moons_of_other_arguments_are_other_points_and_do_not_touch_the_global_generator() -> None:
    before = repr(np.random.get_state())  # noqa: NPY002
    variants = [moons(), moons(samples=201), moons(noise=0.1), moons(data_seed=1)]
    assert len({data.data_hash for data in variants}) == 4
    assert repr(np.random.get_state()) == before  # noqa: NPY002
    assert len(moons(samples=201).x) == 201
    np.testing.assert_array_equal(moons(data_seed=7).x, make_moons(200, noise=0.2, random_state=7)[0])


def test_moons_splits() -> None:
    rng = np.random.default_rng(0)
    for samples, sizes in ((200, [120, 40, 40]), (10, [6, 2, 2])):
        split = moons(samples=samples).splitter(rng)
        assert [len(split.train), len(split.val), len(split.test)] == sizes
    assert len(moons(split="whole").splitter(rng).train) == 200


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("samples", 9),
        ("samples", -200),
        ("samples", 200.0),
        ("samples", True),
        ("noise", -0.1),
        ("noise", float("nan")),
        ("noise", float("inf")),
        ("noise", "0.2"),
        ("data_seed", -1),
        ("data_seed", 2**32),
        ("data_seed", 0.5),
        ("split", "hole"),
    ],
)
def test_bad_arguments_of_moons_are_named(argument: str, value: Any) -> None:
    with pytest.raises(NnlabError, match=rf"^dataset\.{argument}: ") as error:
        moons(**{argument: value})
    assert "\n" not in str(error.value)


def test_bad_split_of_wine_is_named() -> None:
    with pytest.raises(NnlabError, match=r"dataset\.split: wine has no split 'x'; choose one of stratified, whole"):
        wine(split="x")  # type: ignore[arg-type]
