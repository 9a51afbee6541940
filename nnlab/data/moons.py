"""Two interleaving half circles with noise, made by scikit-learn."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.points import points


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
    return points(
        "moons",
        ("upper", "lower"),
        {},
        samples=samples,
        noise=noise,
        data_seed=data_seed,
        split=split,
        standardize=standardize,
    )
