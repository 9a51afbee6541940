"""UCI wine: 178 bottles, 13 chemical measurements, 3 growers. Ships with scikit-learn."""

from typing import Literal

import numpy as np

from nnlab.data.cache import Arrays, prepared
from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.splits import choose, stratified, whole
from nnlab.errors import NnlabError

DATA_HASH = "d71aa0420cf58be5b9e1ed98c92b59ffdef62f5ec14f86882a638e6dc130ba78"

FEATURE_NAMES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
)


def wine(*, split: Literal["stratified", "whole"] = "stratified", standardize: bool = True) -> Dataset:
    """UCI wine, x float64 [178, 13] in the units of the original table, y [178] with 59, 71 and 48 of each class.

    Args:
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all 178
            (S1).
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, or the installed scikit-learn ships another table.
    """
    x, y = prepared("wine", _load, expected=lambda arrays: hash_arrays(*arrays) == DATA_HASH)
    splitter = choose("wine", split, {"stratified": stratified(y), "whole": whole(len(y))})
    return Dataset(
        name="wine",
        x=x,
        y=y,
        class_names=("class_0", "class_1", "class_2"),
        feature_names=FEATURE_NAMES,
        standardize=standardize,
        splitter=splitter,
        data_hash=DATA_HASH,
        source="UCI wine, sklearn.datasets.load_wine()",
    )


def _load() -> Arrays:
    import sklearn
    from sklearn.datasets import load_wine

    bunch = load_wine()
    x = np.ascontiguousarray(bunch.data, dtype=np.float64)
    y = np.ascontiguousarray(bunch.target, dtype=np.int64)
    if hash_arrays(x, y) != DATA_HASH:
        raise NnlabError(
            f"dataset=wine: scikit-learn {sklearn.__version__} ships another wine table than nnlab's figures were made "
            f"with (SHA-256 {hash_arrays(x, y)[:16]}, expected {DATA_HASH[:16]}); install scikit-learn 1.9"
        )
    return x, y
