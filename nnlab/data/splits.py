"""Ways to cut a data set into training, validation and test rows.

Each function returns a splitter, ``rng -> Split``, where rng is the run's own split stream.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.data.dataset import Split, Splitter
from nnlab.errors import NnlabError


def whole(n: int) -> Splitter:
    """Train on every row and report on the same rows, as S1 and S2 do.

    Args:
        n: number of rows.

    Returns:
        A splitter whose val and test are empty; it draws nothing.
    """
    return fixed(n, 0, 0)


def fixed(n_train: int, n_val: int, n_test: int) -> Splitter:
    """Consecutive ranges: the first n_train rows, the next n_val, the next n_test.

    Args:
        n_train: number of training rows.
        n_val: number of validation rows, may be 0.
        n_test: number of test rows, may be 0.

    Returns:
        A splitter that draws nothing.
    """

    def splitter(_rng: np.random.Generator) -> Split:
        rows = np.arange(n_train + n_val + n_test, dtype=np.int64)
        return Split(rows[:n_train], rows[n_train : n_train + n_val], rows[n_train + n_val :])

    return splitter


def stratified(y: NDArray[np.integer[Any]], fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)) -> Splitter:
    """Shuffle each class by itself and deal it out by the fractions, so every part has the classes' proportions.

    A class of m rows gives each part floor(m f) or floor(m f) + 1 of them. Who gets the + 1 is the method of largest
    remainders, with what a part got too little or too much of in earlier classes carried over, so that the sizes of
    the parts do not drift with the number of classes. The sizes do not depend on rng. Draws: one permutation a class,
    classes in ascending order.

    Args:
        y: [n] labels.
        fractions: share of train, val and test; they sum to 1.

    Returns:
        A splitter whose parts are sorted, disjoint and together all n rows.

    Raises:
        ValueError: the fractions are negative or do not sum to 1.
    """
    if min(fractions) < 0 or not np.isclose(sum(fractions), 1.0):
        raise ValueError(f"fractions must be at least 0 and sum to 1, got {fractions}")

    def splitter(rng: np.random.Generator) -> Split:
        parts: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
        owed = np.zeros(3)
        for label in np.unique(y):
            rows = rng.permutation(np.flatnonzero(y == label))
            ideal = len(rows) * np.asarray(fractions)
            # 1e-9: a product that is an integer on paper may come out a rounding error below it (0.29 * 100).
            sizes = np.floor(ideal + 1e-9).astype(np.int64)
            owed += ideal - sizes
            # A part whose share is whole gets exactly it; only the others stand in line for what is left.
            in_line = np.where(ideal - sizes > 1e-9, owed, -np.inf)
            winners = np.argsort(-in_line, kind="stable")[: len(rows) - sizes.sum()]
            sizes[winners] += 1
            owed[winners] -= 1
            for part, dealt in zip(parts, np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
                part.append(dealt)
        none = np.empty(0, dtype=np.int64)
        return Split(*(np.sort(np.concatenate([none, *part])) for part in parts))

    return splitter


def choose(dataset: str, split: str, choices: Mapping[str, Splitter]) -> Splitter:
    """The splitter that ``dataset.split`` names.

    Args:
        dataset: name of the data set, for the message.
        split: the user's choice.
        choices: every split this data set has.

    Returns:
        The chosen splitter.

    Raises:
        NnlabError: there is no such split.
    """
    if split not in choices:
        raise NnlabError(f"dataset.split: {dataset} has no split {split!r}; choose one of {', '.join(choices)}")
    return choices[split]
