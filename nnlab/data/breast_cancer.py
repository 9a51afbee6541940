"""UCI breast cancer (Wisconsin, diagnostic): 569 tumours, 30 measurements, 2 classes. Ships with scikit-learn."""

from typing import Literal

from nnlab.data.dataset import Dataset
from nnlab.data.shipped import shipped
from nnlab.data.splits import choose, stratified, whole

DATA_HASH = "aedc470bfc652225480771229eaf2d99487861c8ed9b0e2140cd68cfe2e6bbfd"

FEATURE_NAMES = (
    "mean radius",
    "mean texture",
    "mean perimeter",
    "mean area",
    "mean smoothness",
    "mean compactness",
    "mean concavity",
    "mean concave points",
    "mean symmetry",
    "mean fractal dimension",
    "radius error",
    "texture error",
    "perimeter error",
    "area error",
    "smoothness error",
    "compactness error",
    "concavity error",
    "concave points error",
    "symmetry error",
    "fractal dimension error",
    "worst radius",
    "worst texture",
    "worst perimeter",
    "worst area",
    "worst smoothness",
    "worst compactness",
    "worst concavity",
    "worst concave points",
    "worst symmetry",
    "worst fractal dimension",
)


def breast_cancer(*, split: Literal["stratified", "whole"] = "stratified", standardize: bool = True) -> Dataset:
    """Wisconsin breast cancer, x float64 [569, 30] in the units of the original table, y [569] with 212 and 357.

    Args:
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all 569.
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, or the installed scikit-learn ships another table.
    """
    x, y = shipped("breast_cancer", DATA_HASH)
    splitter = choose("breast_cancer", split, {"stratified": stratified(y), "whole": whole(len(y))})
    return Dataset(
        name="breast_cancer",
        x=x,
        y=y,
        class_names=("malignant", "benign"),
        feature_names=FEATURE_NAMES,
        standardize=standardize,
        splitter=splitter,
        data_hash=DATA_HASH,
        source="UCI breast cancer Wisconsin (diagnostic), sklearn.datasets.load_breast_cancer()",
    )
