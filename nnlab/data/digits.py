"""UCI digits: 1,797 handwritten digits of 8 x 8 pixels. Ships with scikit-learn."""

from typing import Literal

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.shipped import shipped
from nnlab.data.splits import choose, stratified, whole

DATA_HASH = "9f4e8cc93fe3acde82b2a144dbb9b238a8fe70bb22d170625337f2c444006841"


def digits(*, split: Literal["stratified", "whole"] = "stratified", standardize: bool = False) -> Dataset:
    """UCI digits, x uint8 [1797, 64], y [1797] with 174 to 183 of each digit.

    Pixels are row-major, 0 = background .. 16 = ink; inputs are pixels / 16.

    Args:
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all 1,797.
        standardize: subtract the mean and divide by the standard deviation of the training part, pixel by pixel.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, or the installed scikit-learn ships another table.
    """
    x, y = shipped("digits", DATA_HASH, np.uint8)
    splitter = choose("digits", split, {"stratified": stratified(y), "whole": whole(len(y))})
    return Dataset(
        name="digits",
        x=x,
        y=y,
        class_names=tuple("0123456789"),
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
        standardize=standardize,
        splitter=splitter,
        data_hash=DATA_HASH,
        source="UCI optical recognition of handwritten digits (test part), sklearn.datasets.load_digits()",
        scale=16.0,
        image_shape=(1, 8, 8),
    )
