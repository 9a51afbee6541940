"""Points in the plane that scikit-learn makes: what moons and circles have in common."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnlab.data.cache import Arrays, prepared
from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.splits import choose, stratified, whole
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits

MIN_SAMPLES = 10  # five of each class: the fewest of which every part of a 60/20/20 split gets one
SAMPLE_BYTES = 80  # that scikit-learn needs for each while it makes them, measured


def points(
    name: str,
    class_names: tuple[str, str],
    shape: Mapping[str, float],
    *,
    samples: int,
    noise: float,
    data_seed: int,
    split: str,
    standardize: bool,
) -> Dataset:
    """Have scikit-learn's ``make_<name>`` make two classes of points.

    Args:
        name: of the data set, here and there.
        class_names: of the labels 0 and 1.
        shape: further arguments, already checked; they name the cache entry together with the others.
        samples: number of points.
        noise: standard deviation of the normal noise added to both coordinates.
        data_seed: seed of NumPy's legacy generator that makes the points.
        split: ``stratified`` or ``whole``.
        standardize: as for `Dataset`.

    Returns:
        x float64 [samples, 2] and y [samples], half of each class.

    Raises:
        NnlabError: an argument is out of its range, named as ``dataset.<argument>``.
    """
    if not _is_integer(samples) or samples < MIN_SAMPLES:
        raise NnlabError(f"dataset.samples: {name} needs a whole number of at least {MIN_SAMPLES}, got {samples!r}")
    if not is_finite(noise) or noise < 0:
        raise NnlabError(f"dataset.noise: {name} needs a finite number of at least 0, got {noise!r}")
    if not _is_integer(data_seed) or not 0 <= data_seed < 2**32:
        raise NnlabError(f"dataset.data_seed: {name} needs a whole number 0 .. {2**32 - 1}, got {data_seed!r}")

    check_fits(SAMPLE_BYTES * int(samples), f"dataset.samples={samples}")

    def make() -> Arrays:
        from sklearn import datasets

        make_points: Callable[..., Any] = getattr(datasets, f"make_{name}")
        x, y = make_points(samples, noise=float(noise), random_state=np.random.RandomState(data_seed), **shape)
        return np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.int64)

    key = "-".join([str(samples), repr(float(noise)), *map(repr, shape.values()), str(data_seed)])
    x, y = prepared(f"{name}/{key}", make)
    splitter = choose(name, split, {"stratified": stratified(y), "whole": whole(len(y))})
    further = "".join(f", {argument}={value!r}" for argument, value in shape.items())
    return Dataset(
        name=name,
        x=x,
        y=y,
        class_names=class_names,
        feature_names=("x1", "x2"),
        standardize=standardize,
        splitter=splitter,
        data_hash=hash_arrays(x, y),
        source=f"sklearn.datasets.make_{name}({samples}, noise={float(noise)!r}{further}, random_state={data_seed})",
    )


def is_finite(value: object) -> bool:
    """Whether it is a number other than NaN and the infinities."""
    return isinstance(value, int | float) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
