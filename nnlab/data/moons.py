"""Two interleaving half circles with noise, made by scikit-learn."""

import math
from typing import Literal

import numpy as np

from nnlab.data.cache import Arrays, prepared
from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.splits import choose, stratified, whole
from nnlab.errors import NnlabError

MIN_SAMPLES = 10  # five of each class: the fewest of which every part of a 60/20/20 split gets one


def moons(
    *,
    samples: int = 200,
    noise: float = 0.2,
    data_seed: int = 0,
    split: Literal["stratified", "whole"] = "stratified",
    standardize: bool = False,
) -> Dataset:
    """Two moons, x float64 [samples, 2], y [samples], half of each class.

    The defaults are S2's data: ``np.random.seed(0); make_moons(200, noise=0.20)``.

    Args:
        samples: number of points, at least 10.
        noise: standard deviation of the normal noise added to both coordinates, in units of the circles' radius.
        data_seed: seed of NumPy's legacy generator that makes the points, 0 .. 2**32 - 1. It belongs to the data, not
            to the run: runs with different ``seed`` see the same points.
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all
            points (S2).
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: an argument is out of its range, named as ``dataset.<argument>``.
    """
    if not _is_integer(samples) or samples < MIN_SAMPLES:
        raise NnlabError(f"dataset.samples: moons needs a whole number of at least {MIN_SAMPLES}, got {samples!r}")
    if not isinstance(noise, int | float) or not (math.isfinite(noise) and noise >= 0):
        raise NnlabError(f"dataset.noise: moons needs a finite number of at least 0, got {noise!r}")
    if not _is_integer(data_seed) or not 0 <= data_seed < 2**32:
        raise NnlabError(f"dataset.data_seed: moons needs a whole number 0 .. {2**32 - 1}, got {data_seed!r}")

    def make() -> Arrays:
        from sklearn.datasets import make_moons

        x, y = make_moons(samples, noise=float(noise), random_state=np.random.RandomState(data_seed))
        return np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.int64)

    x, y = prepared(f"moons/{samples}-{float(noise)!r}-{data_seed}", make)
    splitter = choose("moons", split, {"stratified": stratified(y), "whole": whole(len(y))})
    return Dataset(
        name="moons",
        x=x,
        y=y,
        class_names=("upper", "lower"),
        feature_names=("x1", "x2"),
        standardize=standardize,
        splitter=splitter,
        data_hash=hash_arrays(x, y),
        source=f"sklearn.datasets.make_moons({samples}, noise={float(noise)!r}, random_state={data_seed})",
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
