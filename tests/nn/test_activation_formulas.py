"""Every activation and its derivative against the formula, number by number, and against PyTorch's numbers."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from nnlab import paths
from nnlab.nn.module import Array, Module
from nnlab.nn.smooth_activations import Softplus
from tests.nn.activation_cases import CASES

# PyTorch 2.13.0, float64: f and f' at Z.
Z = (-3.0, -0.25, 0.0, 2.0)
PYTORCH: dict[str, tuple[list[float], list[float]]] = {
    "sigmoid": (
        [0.04742587317756678, 0.43782349911420193, 0.5, 0.8807970779778823],
        [0.04517665973091214, 0.24613408273759835, 0.25, 0.10499358540350662],
    ),
    "tanh": (
        [-0.9950547536867305, -0.24491866240370913, 0.0, 0.9640275800758169],
        [0.009866037165440166, 0.940014848806378, 1.0, 0.07065082485316443],
    ),
    "relu": (
        [0.0, 0.0, 0.0, 2.0],
        [0.0, 0.0, 0.0, 1.0],
    ),
    "leaky_relu": (
        [-0.03, -0.0025, 0.0, 2.0],
        [0.01, 0.01, 0.01, 1.0],
    ),
    "leaky_relu, 0.2": (
        [-0.6000000000000001, -0.05, 0.0, 2.0],
        [0.2, 0.2, 0.2, 1.0],
    ),
    "elu": (
        [-0.950212931632136, -0.22119921692859512, 0.0, 2.0],
        [0.049787068367863944, 0.7788007830714049, 1.0, 1.0],
    ),
    "elu, alpha = 2.5": (
        [-2.37553232908034, -0.5529980423214877, 0.0, 2.0],
        [0.12446767091965986, 1.9470019576785123, 2.5, 1.0],
    ),
    "selu": (
        [-1.6705687287671118, -0.388890197478119, 0.0, 2.101401974710961],
        [0.08753061208026487, 1.3692091433692577, 1.7580993408473766, 1.0507009873554805],
    ),
    "gelu": (
        [-0.00404969409489031, -0.10032341857926907, 0.0, 1.9544997361036416],
        [-0.01194564720418392, 0.304626645116364, 0.5, 1.085231801078197],
    ),
    "gelu, tanh": (
        [-0.0036373920817729943, -0.100324649298315, 0.0, 1.954597694087775],
        [-0.011584166630969648, 0.30464590484893955, 0.5, 1.0860992566236183],
    ),
    "silu": (
        [-0.14227761953270035, -0.10945587477855048, 0.0, 1.7615941559557646],
        [-0.08810410601516962, 0.37628997842980233, 0.5, 1.0907842487848955],
    ),
    "softplus": (
        [0.04858735157374206, 0.5759394198788436, 0.6931471805599453, 2.1269280110429727],
        [0.04742587317756679, 0.4378234991142019, 0.5, 0.8807970779778824],
    ),
    "softplus, beta = 3": (
        [4.1134063241086273e-05, 0.1289570020383, 0.23104906018664842, 2.0008252283792434],
        [0.00012339457598623172, 0.32082130082460697, 0.5, 0.9975273768433652],
    ),
}


def both(layer: Module, z: Array) -> tuple[Array, Array]:
    """Return copies of f(z) and f'(z)."""
    a = layer.forward(z).copy()
    slope = layer.backward(np.ones_like(z))
    assert slope is not None
    return a, slope


@pytest.mark.parametrize("name", CASES)
@given(values=st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=1, max_size=8))
@settings(deadline=None, max_examples=25)
def test_it_is_the_formula(name: str, values: list[float]) -> None:
    case = CASES[name]
    a, slope = both(case.make(), np.array(values)[None, None])
    np.testing.assert_allclose(a[0, 0], [case.f(z) for z in values], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(slope[0, 0], [case.derivative(z) for z in values], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_float32_is_the_formula_to_float32s_precision(name: str) -> None:
    case = CASES[name]
    z = np.linspace(-12, 12, 4801, dtype=np.float32)[None, None]
    a, slope = both(case.make(), z)
    assert a.dtype == slope.dtype == np.float32
    np.testing.assert_allclose(a[0, 0], [case.f(float(each)) for each in z[0, 0]], rtol=6e-7, atol=2e-7)
    np.testing.assert_allclose(slope[0, 0], [case.derivative(float(each)) for each in z[0, 0]], rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", PYTORCH)
def test_it_is_pytorchs_at_0_too(name: str) -> None:
    a, slope = both(CASES[name].make(), np.array(Z)[None, None])
    np.testing.assert_allclose(a[0, 0], PYTORCH[name][0], rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slope[0, 0], PYTORCH[name][1], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_far_from_0_it_reaches_its_limits_without_a_warning(name: str, dtype: DTypeLike) -> None:
    a, slope = both(CASES[name].make(), np.array([[[-1e4, 1e4]]], dtype))
    below, slope_below, above, slope_above = CASES[name].far
    np.testing.assert_array_equal(a, np.array([[[below, above]]], dtype))
    np.testing.assert_array_equal(slope, np.array([[[slope_below, slope_above]]], dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_between_the_middle_and_the_limits_all_is_finite(name: str, dtype: DTypeLike) -> None:
    z = np.geomspace(1, 1e4, 2001, dtype=dtype)
    a, slope = both(CASES[name].make(), np.concatenate([-z, z])[None, None])
    assert np.isfinite(a).all()
    assert np.isfinite(slope).all()
    assert np.abs(a).max() <= 1.06e4
    assert np.abs(slope).max() <= 2.51


def test_softplus_has_no_threshold_and_differs_from_pytorchs_by_less_than_it_says() -> None:
    z = np.linspace(20, 40, 100)[None, None]
    a, slope = both(Softplus(), z)
    assert np.all(a[z < 30] > z[z < 30])
    assert np.abs(a - z).max() < 2.1e-9
    assert np.abs(slope - 1).max() < 2.1e-9


def test_every_choice_of_the_config_group_is_here() -> None:
    chosen = {yaml.safe_load(path.read_text())["_target_"] for path in (paths.conf_dir() / "activation").glob("*.yaml")}
    made = {type(case.make()) for case in CASES.values()}
    assert chosen == {f"{each.__module__}.{each.__name__}" for each in made}
    assert {type(CASES[name].make()) for name in PYTORCH} | {type(CASES["identity"].make())} == made
