import dataclasses
import hashlib
import math
from typing import Any

import numpy as np
import pytest

from nnlab.data import Dataset, fit_standardization, fixed, hash_arrays


def make(**changes: Any) -> Dataset:
    fields: dict[str, Any] = {
        "name": "tiny",
        "x": np.array([[0, 51], [102, 255]], dtype=np.uint8),
        "y": np.array([1, 0]),
        "class_names": ("a", "b"),
        "feature_names": ("p", "q"),
        "standardize": False,
        "splitter": fixed(1, 0, 1),
        "data_hash": "",
        "source": "here",
        "scale": 255.0,
    }
    return Dataset(**{**fields, **changes})


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_inputs_are_divided_in_the_dtype_asked_for(dtype: Any) -> None:
    inputs = make().inputs(dtype)
    assert inputs.dtype == dtype
    assert inputs.flags.c_contiguous
    assert inputs.flags.writeable
    assert inputs.tolist() == [[0, inputs.dtype.type(0.2)], [inputs.dtype.type(0.4), 1]]


def test_inputs_never_alias_the_data() -> None:
    data = make(x=np.eye(2), scale=1.0)
    data.inputs(np.float64)[:] = 9
    assert (data.x == np.eye(2)).all()


def test_inputs_refuse_integers() -> None:
    with pytest.raises(TypeError, match="int64"):
        make().inputs(np.int64)


def test_arrays_are_read_only_and_the_record_frozen() -> None:
    data = make()
    assert (data.features, data.classes) == (2, 2)
    for array in (data.x, data.y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.zeros(2)},
        {"x": np.asfortranarray(np.ones((2, 2)))},
        {"y": np.array([0, 1, 1])},
        {"y": np.array([0, 1], dtype=np.int32)},
        {"y": np.array([0, 2])},
        {"y": np.array([-1, 0])},
        {"feature_names": ("p",)},
        {"image_shape": (1, 2, 2)},
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dataset tiny"):
        make(**changes)


def test_standardization_by_hand() -> None:
    mean, std = fit_standardization(np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 40.0]]))
    np.testing.assert_allclose(mean, [2, 20], rtol=1e-15)
    np.testing.assert_allclose(std, [math.sqrt(2 / 3), math.sqrt(200)], rtol=1e-15)  # of the population: divided by 3
    assert mean.dtype == std.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_feature_becomes_exactly_zero(dtype: Any) -> None:
    x = np.full((7, 2), 0.1, dtype=dtype)
    x[:, 1] = range(7)
    mean, std = fit_standardization(x)
    assert std[0] == 1
    assert ((x - mean)[:, 0] == 0).all()
    assert std[1] == 2


def test_float32_is_summed_in_float64() -> None:
    x = np.array([[2.0**24], [1.0], [1.0], [1.0]], dtype=np.float32)
    assert fit_standardization(x)[0] == (2**24 + 3) / 4


def test_standardization_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        fit_standardization(np.empty((0, 3)))


def test_hash_is_over_header_and_bytes() -> None:
    x, y = np.array([[1.5]]), np.array([2])
    by_hand = hashlib.sha256(b'[["<f8",[1,1]],["<i8",[1]]]' + x.tobytes() + y.tobytes()).hexdigest()
    assert hash_arrays(x, y) == by_hand


def test_hash_knows_values_dtypes_and_shapes_but_not_memory_layout() -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.array([0, 1])
    same = hash_arrays(x, y)
    assert hash_arrays(np.asfortranarray(x), y) == same
    assert hash_arrays(x.astype(">f8"), y.astype(">i8")) == same
    others = [(x.reshape(3, 2), y), (x.astype(np.float32), y), (x + 1, y), (x, y[::-1]), (x, y.astype(np.int32))]
    assert len({same, *(hash_arrays(a, b) for a, b in others)}) == len(others) + 1
