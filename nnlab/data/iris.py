"""Iris: 150 flowers, 4 lengths and widths in cm, 3 species (Fisher 1936). Ships with scikit-learn."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.shipped import shipped
from nnlab.data.splits import choose, stratified, whole

DATA_HASH = "86b10f641a59a81f500d690d48b9d8c0d8b2edc0cd310322b7664f24208ea676"

FEATURE_NAMES = (
    "sepal length (cm)",
    "sepal width (cm)",
    "petal length (cm)",
    "petal width (cm)",
)


def iris(*, split: Literal["stratified", "whole"] = "stratified", standardize: bool = True) -> Dataset:
    """Iris, x float64 [150, 4] in cm, y [150] with 50 of each species.

    Args:
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all 150.
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, or the installed scikit-learn ships another table.
    """
    x, y = shipped("iris", DATA_HASH)
    splitter = choose("iris", split, {"stratified": stratified(y), "whole": whole(len(y))})
    return Dataset(
        name="iris",
        x=x,
        y=y,
        class_names=("setosa", "versicolor", "virginica"),
        feature_names=FEATURE_NAMES,
        standardize=standardize,
        splitter=splitter,
        data_hash=DATA_HASH,
        source="Fisher's iris, sklearn.datasets.load_iris()",
    )
