"""The record that every data set is handed over as, and the two things computed from its bytes."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class Split:
    """Which rows train, choose and judge; the three parts are disjoint.

    Attributes:
        train: int64 [n_train] row numbers, sorted.
        val: int64 [n_val] row numbers, sorted; empty where the protocol has no validation part.
        test: int64 [n_test] row numbers, sorted; empty where the protocol reports on its training data.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


Splitter = Callable[[np.random.Generator], Split]


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set as published, with the way to cut it; its arrays are made read-only.

    Attributes:
        name: what the ``dataset`` config group calls it.
        x: [n, features], C-contiguous: uint8 for pixels, float64 otherwise; float32 where the user's own array is.
        y: int64 [n] labels 0 .. classes - 1.
        class_names: [classes].
        feature_names: [features].
        standardize: whether the consumer subtracts the mean and divides by the standard deviation, both from
            `fit_standardization` on the training part only.
        splitter: cuts the rows; its argument is the run's own split stream.
        data_hash: `hash_arrays` of x and y, before splitting.
        source: where the data came from, for the MLflow dataset entry.
        scale: inputs are x / scale; 255 for pixels.
        image_shape: (channels, height, width) where a row of x is an image, row-major; None where it is not.

    Raises:
        ValueError: the arrays and names do not fit each other.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    standardize: bool
    splitter: Splitter
    data_hash: str
    source: str
    scale: float = 1.0
    image_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or not self.x.flags.c_contiguous:
            raise ValueError(f"dataset {self.name}: x must be a C-contiguous [n, features] array, is {self.x.shape}")
        if self.y.shape != self.x.shape[:1] or self.y.dtype != np.int64:
            raise ValueError(f"dataset {self.name}: y must be int64 [{len(self.x)}], is {self.y.dtype} {self.y.shape}")
        if len(self.feature_names) != self.features:
            raise ValueError(f"dataset {self.name}: {len(self.feature_names)} names for {self.features} features")
        if self.y.size and not 0 <= self.y.min() <= self.y.max() < self.classes:
            raise ValueError(f"dataset {self.name}: labels must be 0..{self.classes - 1}")
        if self.image_shape is not None and math.prod(self.image_shape) != self.features:
            raise ValueError(f"dataset {self.name}: {self.features} features are no image of shape {self.image_shape}")
        # Several runs of one process share these arrays; a write by one of them must not reach the others.
        self.x.setflags(write=False)
        self.y.setflags(write=False)

    @property
    def features(self) -> int:
        """Number of columns of x."""
        return int(self.x.shape[1])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def inputs(self, dtype: DTypeLike) -> NDArray[np.floating[Any]]:
        """What the network is fed, before standardisation.

        Args:
            dtype: float32 or float64; the division is done in it.

        Returns:
            x / scale as a fresh, writable, C-contiguous [n, features] array.

        Raises:
            TypeError: dtype is not a floating point type.
        """
        if not np.issubdtype(np.dtype(dtype), np.floating):
            raise TypeError(f"inputs are floating point numbers, not {np.dtype(dtype)}")
        result: NDArray[np.floating[Any]] = self.x.astype(dtype, order="C")
        if self.scale != 1.0:
            result /= self.scale
        return result


def fit_standardization(x_train: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature, for (x - mean) / std.

    std is the population's, sqrt(mean((x - mean)^2)), as in scikit-learn's ``StandardScaler``. A feature that never
    changes gets std 1 and its own value as the mean, so that it becomes exactly 0: rounding can leave the computed
    std at 1e-17, and dividing by that would make noise of it.

    Args:
        x_train: [n_train, features], the training part only.

    Returns:
        mean and std, float64 [features] each.

    Raises:
        ValueError: there is no row to fit on.
    """
    if len(x_train) == 0:
        raise ValueError("cannot standardise: the training part is empty")
    constant = x_train.max(axis=0) == x_train.min(axis=0)
    mean = np.where(constant, x_train[0], x_train.mean(axis=0, dtype=np.float64))
    std = np.where(constant, 1.0, x_train.std(axis=0, dtype=np.float64))
    return mean, std


def hash_arrays(x: NDArray[Any], y: NDArray[Any]) -> str:
    """Name data by their content: SHA-256 over a header (dtypes, shapes) and all bytes of both arrays.

    Bytes are taken little-endian and row-major, so the hash is the same on every machine and does not know file names.

    Args:
        x: any array of numbers.
        y: any array of numbers.

    Returns:
        64 hex digits.
    """
    arrays = [np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("<")) for a in (x, y)]
    header = json.dumps([[a.dtype.str, list(a.shape)] for a in arrays], separators=(",", ":"))
    digest = hashlib.sha256(header.encode())
    for array in arrays:
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
