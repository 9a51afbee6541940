"""Class labels out of a user's own column of numbers or text, or one clear line about why it has none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import NnlabError

MIN_ROWS = 3  # of a class, so that each part of a 60/20/20 split can get one
MAX_FRACTIONS = 100  # distinct values that are no whole numbers: more than this is a measurement


def encode_labels(values: NDArray[Any], where: str, split: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number the classes in ascending order: numbers by size, text by its code points.

    Args:
        values: [n] numbers, booleans or strings; at least one, none missing.
        where: the column or array, for messages.
        split: ``stratified`` needs three rows a class.

    Returns:
        y int64 [n] in 0 .. classes - 1, and the name of each class.

    Raises:
        NnlabError: a value that is not finite, a single class, a class of too few rows, or a target that is a
            measurement and not a class.
    """
    classes, y = np.unique(values, return_inverse=True)
    names = tuple(_name(value) for value in classes.tolist())
    if classes.dtype.kind == "f":
        if not np.isfinite(classes).all():
            raise NnlabError(f"{where} has the class {names[-1]}: classes are finite numbers or text")
        fractions = classes[classes != np.round(classes)]
        if len(fractions) > MAX_FRACTIONS:
            raise NnlabError(
                f"{where} looks continuous: {len(classes)} distinct values, such as {_name(fractions[0].item())}; "
                "nnlab classifies, so cut it into classes first"
            )
    if len(classes) < 2:
        raise NnlabError(f"{where} has a single class, {names[0]!r}: there is nothing to tell apart")
    counts = np.bincount(y)
    if split == "stratified" and counts.min() < MIN_ROWS:
        smallest = int(counts.argmin())
        raise NnlabError(
            f"{where}: class {names[smallest]!r} has {counts[smallest]} of the {len(y)} rows, and split=stratified "
            f"needs {MIN_ROWS} a class; drop or merge such classes, or set dataset.split=whole"
        )
    return y.astype(np.int64, copy=False), names


def _name(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
