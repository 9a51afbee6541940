"""Two concentric circles with noise, made by scikit-learn."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.points import is_finite, points
from nnlab.errors import NnlabError


def circles(
    *,
    samples: int = 200,
    noise: float = 0.1,
    factor: float = 0.5,
    data_seed: int = 0,
    split: Literal["stratified", "whole"] = "stratified",
    standardize: bool = False,
) -> Dataset:
    """Two circles, x float64 [samples, 2], y [samples], half of each class: 0 on the outer, 1 on the inner.

    Args:
        samples: number of points, at least 10.
        noise: standard deviation of the normal noise added to both coordinates, in units of the outer circle's radius.
        factor: radius of the inner circle in units of the outer one's, at least 0 and below 1.
        data_seed: seed of NumPy's legacy generator that makes the points, 0 .. 2**32 - 1. It belongs to the data, not
            to the run: runs with different ``seed`` see the same points.
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all
            points.
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: an argument is out of its range, named as ``dataset.<argument>``.
    """
    if not is_finite(factor) or not 0 <= factor < 1:
        raise NnlabError(f"dataset.factor: circles needs a number of at least 0 and below 1, got {factor!r}")
    return points(
        "circles",
        ("outer", "inner"),
        {"factor": float(factor)},
        samples=samples,
        noise=noise,
        data_seed=data_seed,
        split=split,
        standardize=standardize,
    )
