"""UCI wine: 178 bottles, 13 chemical measurements, 3 growers. Ships with scikit-learn."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.shipped import shipped
from nnlab.data.splits import choose, stratified, whole

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
    x, y = shipped("wine", DATA_HASH)
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
