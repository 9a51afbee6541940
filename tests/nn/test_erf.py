import math

import numpy as np
import pytest
from numpy.typing import DTypeLike

from nnlab.nn.erf import erfc
from nnlab.nn.module import Array

EPS64, EPS32 = np.finfo(np.float64).eps, np.finfo(np.float32).eps


def computed(x: Array) -> Array:
    return erfc(x, np.empty_like(x))


def test_erfc_is_maths_to_a_few_roundings_and_those_of_exp() -> None:
    x = np.concatenate([np.linspace(-7, 26, 30_001), np.geomspace(1e-300, 1, 300), -np.geomspace(1e-300, 1, 300)])
    error = np.abs(computed(x) / [math.erfc(each) for each in x] - 1)
    assert np.all(error < (5 + x**2) * EPS64)
    middle = np.abs(x) < 1
    assert error[middle].max() < 1e-15


def test_one_minus_erfc_is_maths_erf() -> None:
    x = np.linspace(-7, 7, 14_001)
    np.testing.assert_allclose(1 - computed(x), [math.erf(each) for each in x], rtol=0, atol=1e-15)


def test_erfc_in_float32() -> None:
    x = np.linspace(-6, 9, 30_001, dtype=np.float32)
    error = np.abs(computed(x) / [math.erfc(float(each)) for each in x] - 1)
    assert np.all(error < (5 + x.astype(np.float64) ** 2) * EPS32)
    assert computed(x).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erfc_far_out_and_at_0(dtype: DTypeLike) -> None:
    x: Array = np.array([-1e4, -30, -0.0, 0.0, 30, 1e4], dtype)
    np.testing.assert_array_equal(computed(x), np.array([2, 2, 1, 1, 0, 0], dtype))


def test_erfc_of_nan_is_nan_and_of_an_infinity_its_limit() -> None:
    np.testing.assert_array_equal(computed(np.array([np.nan, -np.inf, np.inf])), [np.nan, 2, 0])


def test_erfc_takes_any_shape_and_may_write_over_its_input() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 2, 7))
    expected = computed(x)
    kept = x.copy()
    assert erfc(x, x) is x
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_allclose(expected.ravel(), [math.erfc(each) for each in kept.ravel()], rtol=1e-14)
    assert computed(np.empty((2, 0))).shape == (2, 0)
