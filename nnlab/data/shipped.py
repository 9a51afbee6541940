"""Tables that ship with scikit-learn, each pinned by its hash: a figure made with one must not change with the next."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlab.data.cache import Arrays, prepared
from nnlab.data.dataset import hash_arrays
from nnlab.errors import NnlabError


def shipped(name: str, data_hash: str, dtype: DTypeLike = np.float64) -> Arrays:
    """Take a table from the cache, or have scikit-learn's ``load_<name>`` make it.

    Args:
        name: of the data set, here and there.
        data_hash: `hash_arrays` of what is expected.
        dtype: of x.

    Returns:
        x [n, features] and y int64 [n].

    Raises:
        NnlabError: the installed scikit-learn ships another table.
    """

    def make() -> Arrays:
        import sklearn
        from sklearn import datasets

        bunch: Any = getattr(datasets, f"load_{name}")()
        x = np.ascontiguousarray(bunch.data, dtype=dtype)
        y = np.ascontiguousarray(bunch.target, dtype=np.int64)
        if hash_arrays(x, y) != data_hash:
            raise NnlabError(
                f"dataset={name}: scikit-learn {sklearn.__version__} ships another {name} table than nnlab's figures "
                f"were made with (SHA-256 {hash_arrays(x, y)[:16]}, expected {data_hash[:16]}); "
                f"install scikit-learn 1.9"
            )
        return x, y

    return prepared(name, make, expected=lambda arrays: hash_arrays(*arrays) == data_hash)
