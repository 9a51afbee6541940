from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_circles, make_moons

from nnlab.data import Dataset, breast_cancer, circles, digits, hash_arrays, iris, moons, wine
from nnlab.data import cache as cache_module
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


@pytest.mark.parametrize(
    ("loader", "theirs", "counts", "sizes", "standardize"),
    [
        (iris, load_iris, [50, 50, 50], [90, 30, 30], True),
        (breast_cancer, load_breast_cancer, [212, 357], [341, 114, 114], True),
        (digits, load_digits, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], [1078, 360, 359], False),
    ],
)
def test_tables_are_those_of_scikit_learn(
    loader: Callable[..., Dataset], theirs: Any, counts: list[int], sizes: list[int], standardize: bool
) -> None:
    bunch = theirs()
    for data in (loader(), loader()):  # made, then read from the cache
        np.testing.assert_array_equal(data.x, bunch.data)
        np.testing.assert_array_equal(data.y, bunch.target)
        assert data.feature_names == tuple(bunch.feature_names)
        assert data.class_names == tuple(str(name) for name in bunch.target_names)
        assert data.data_hash == hash_arrays(data.x, data.y)
        assert data.standardize is standardize
        assert data.name == loader.__name__
    np.testing.assert_array_equal(np.bincount(data.y), counts)
    parts = data.splitter(np.random.default_rng(0))
    assert [len(parts.train), len(parts.val), len(parts.test)] == sizes
    assert len(loader(split="whole").splitter(np.random.default_rng(0)).train) == sum(counts)
    with pytest.raises(NnlabError, match=f"dataset.split: {data.name} has no split 'x'; choose one of stratified, who"):
        loader(split="x")


def test_digits_are_images_of_sixteen_shades() -> None:
    data = digits()
    assert data.x.dtype == np.uint8
    assert (data.scale, data.image_shape) == (16, (1, 8, 8))
    np.testing.assert_array_equal(data.inputs(np.float32).reshape(-1, 8, 8), load_digits().images / 16)


def test_wine_and_points_are_no_images() -> None:
    assert [data.image_shape for data in (wine(), iris(), moons(), circles())] == [None] * 4


def test_circles_are_those_of_scikit_learn() -> None:
    for data in (circles(), circles()):
        x, y = make_circles(200, noise=0.1, factor=0.5, random_state=0)
        np.testing.assert_array_equal(data.x, x)
        np.testing.assert_array_equal(data.y, y)
        assert data.data_hash == hash_arrays(x, y)
        assert (data.x.dtype.str, data.y.dtype.str, data.standardize) == ("<f8", "<i8", False)
    exact = circles(noise=0.0, factor=0.25)
    radius = np.linalg.norm(exact.x, axis=1)
    names = np.array(exact.class_names)[exact.y]
    np.testing.assert_allclose(radius[names == "outer"], 1, rtol=1e-14)
    np.testing.assert_allclose(radius[names == "inner"], 0.25, rtol=1e-14)


def test_circles_of_other_arguments_are_other_points(data_dir: Path) -> None:
    variants = [circles(), circles(samples=201), circles(noise=0.2), circles(factor=0.6), circles(data_seed=1)]
    assert len({data.data_hash for data in variants}) == 5
    assert len(list((data_dir / "circles").iterdir())) == 5
    parts = circles(samples=10).splitter(np.random.default_rng(0))
    assert [len(parts.train), len(parts.val), len(parts.test)] == [6, 2, 2]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("samples", 9),
        ("noise", -0.1),
        ("factor", 1.0),
        ("factor", -0.1),
        ("factor", float("nan")),
        ("factor", "0.5"),
        ("data_seed", -1),
        ("split", "hole"),
    ],
)
def test_bad_arguments_of_circles_are_named(argument: str, value: Any) -> None:
    with pytest.raises(NnlabError, match=rf"^dataset\.{argument}: circles ") as error:
        circles(**{argument: value})
    assert "\n" not in str(error.value)
