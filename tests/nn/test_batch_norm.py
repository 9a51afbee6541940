"""BatchNorm1d and 2d: hand-computed values, central differences, one sample, constant features, lone runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import BatchNorm1d, BatchNorm2d, Sequential
from tests.nn.layers import check_derivatives, check_stack_is_lone, in_a_stack, replica_counts, seeds


def alone(layer: BatchNorm1d, dtype: str = "float64") -> Sequential:
    """As it starts, before anything is drawn or trained."""
    return Sequential([layer], dtype=dtype)


def test_a_step_and_an_evaluation_by_hand() -> None:
    """Of 1, 2, 3, 6 the mean is 3, the variance 14 / 4 for normalising and 14 / 3 for the running one."""
    layer = BatchNorm1d(1, eps=0.5, momentum=0.1)
    network = alone(layer)
    layer.weight[...], layer.bias[...] = 3, 10
    out = network.forward(np.array([[[1.0, 2.0, 3.0, 6.0]]]))
    np.testing.assert_allclose(out, [[[7, 8.5, 10, 14.5]]], rtol=1e-12)  # 10 + 3 (x - 3) / sqrt(3.5 + 0.5)
    np.testing.assert_allclose(layer.running_mean, [[0.3]], rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, [[0.9 + 0.1 * 14 / 3]], rtol=1e-12)
    layer.running_mean[...], layer.running_var[...] = 1, 3.5
    network.eval()
    np.testing.assert_allclose(network.forward(np.array([[[5.0]]])), [[[16]]], rtol=1e-12)
    assert layer.running_mean.tolist() == [[1]]
    assert layer.running_var.tolist() == [[3.5]]


def test_weight_and_bias_start_as_in_pytorch_and_no_initialiser_changes_it() -> None:
    network = Sequential([BatchNorm2d(3)], replicas=2)

    def draw(_rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, 7.0)

    network.initialize(1, np.random.default_rng(0), draw, draw)
    for replica in range(2):
        state = {name: array.tolist() for name, array in network.state_dict(replica).items()}
        assert state == {
            "0.weight": [1, 1, 1],
            "0.bias": [0, 0, 0],
            "0.running_mean": [0, 0, 0],
            "0.running_var": [1, 1, 1],
        }


@given(
    features=st.integers(1, 3),
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    batch=st.integers(1, 4),
    lead=st.integers(1, 2),
    seed=seeds,
)
@settings(deadline=None, max_examples=30)
def test_a_channel_is_normalised_over_its_pixels_and_the_batch(
    features: int, height: int, width: int, batch: int, lead: int, seed: int
) -> None:
    rng, layer = np.random.default_rng(seed), BatchNorm2d(features)
    network = in_a_stack(layer, 2, rng)
    before = {name: getattr(layer, name).copy() for name in ("running_mean", "running_var")}
    x = rng.normal(3, 2, (lead, features, height, width, batch))
    z = network.forward(x)
    for replica, feature in np.ndindex(2, features):
        numbers = x[min(replica, lead - 1), feature]
        n = numbers.size
        mean = sum(numbers.ravel()) / n
        variance = sum((numbers.ravel() - mean) ** 2) / n
        weight, bias = layer.weight[replica, feature], layer.bias[replica, feature]
        expected = weight * (numbers - mean) / np.sqrt(variance + 1e-5) + bias
        np.testing.assert_allclose(z[replica, feature], expected, atol=1e-9)
        running = 0.9 * before["running_mean"][replica, feature] + 0.1 * mean
        np.testing.assert_allclose(layer.running_mean[replica, feature], running, rtol=1e-12)
        running = before["running_var"][replica, feature]
        running = running if n == 1 else 0.9 * running + 0.1 * variance * n / (n - 1)
        np.testing.assert_allclose(layer.running_var[replica, feature], running, rtol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@given(
    image=st.sampled_from([(), (1, 2), (2, 2)]),
    features=st.integers(1, 3),
    batch=st.integers(1, 4),
    replicas=replica_counts,
    shares_inputs=st.booleans(),
    seed=seeds,
)
@settings(deadline=None, max_examples=25)
def test_backward_is_central_differences(
    training: bool,
    image: tuple[int, ...],
    features: int,
    batch: int,
    replicas: int,
    shares_inputs: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    network = in_a_stack(BatchNorm2d(features, eps=0.1) if image else BatchNorm1d(features, eps=0.1), replicas, rng)
    network.train(training)
    check_derivatives(network, rng.normal(size=(1 if shares_inputs else replicas, features, *image, batch)), rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_sample_gives_the_bias_and_leaves_the_running_variance(dtype: str) -> None:
    """What PyTorch refuses: a last short batch must not end a run."""
    layer = BatchNorm1d(2)
    network = alone(layer, dtype)
    layer.bias[...] = 5, 6
    assert network.forward(np.array([[[1e4], [-3]]], dtype)).tolist() == [[[5], [6]]]
    assert network.backward(np.ones((1, 2, 1), dtype), input_grad=True).tolist() == [[[0], [0]]]  # type: ignore[union-attr]
    assert layer.weight_grad.tolist() == [[0, 0]]
    assert layer.bias_grad.tolist() == [[1, 1]]
    np.testing.assert_allclose(layer.running_mean, [[1e3, -0.3]], rtol=1e-6)
    assert layer.running_var.tolist() == [[1, 1]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("constant", [0, 1, -1e4, 0.1])
def test_a_constant_feature_stays_finite_and_gives_the_bias(constant: float, dtype: str) -> None:
    layer = BatchNorm1d(1)
    network = alone(layer, dtype)
    layer.bias[...] = 2
    out = network.forward(np.full((1, 1, 96), constant, dtype))
    # A mean is off by a rounding or so, and 1 / sqrt(eps) = 316 times that shows.
    np.testing.assert_allclose(out, 2, atol=1000 * float(np.finfo(dtype).eps) * max(1, abs(constant)))
    grad = network.backward(np.random.default_rng(0).normal(size=(1, 1, 96)).astype(dtype), input_grad=True)
    assert grad is not None
    assert np.isfinite(grad).all()
    assert np.isfinite(network.gradients).all()
    assert np.isfinite(network.state).all()


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(
    image=st.sampled_from([(), (1, 3), (5, 4)]),
    features=st.sampled_from([1, 3, 9]),
    batch=st.sampled_from([1, 2, 13, 64]),
    dtype=st.sampled_from(["float32", "float64"]),
    shares=st.booleans(),
    seed=seeds,
)
@settings(deadline=None, max_examples=10)
def test_a_stack_is_its_lone_runs_bit_for_bit(
    replicas: int, image: tuple[int, ...], features: int, batch: int, dtype: str, shares: bool, seed: int
) -> None:
    make = BatchNorm2d if image else BatchNorm1d
    check_stack_is_lone(lambda: make(features), (features, *image), replicas, batch, dtype, shares, seed)


def test_a_batch_that_is_not_contiguous_gives_the_same_bytes() -> None:
    """A first layer's input is a transposed view."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1, 50, 3)).astype(np.float32)
    from_view = alone(BatchNorm1d(3), "float32").forward(rows.swapaxes(1, 2))
    from_copy = alone(BatchNorm1d(3), "float32").forward(np.ascontiguousarray(rows.swapaxes(1, 2)))
    assert from_view.tobytes() == from_copy.tobytes()


@pytest.mark.parametrize("arguments", [(0,), (1, 0.0), (1, 1e-5, 1.5), (1, 1e-5, -0.1)])
def test_bad_arguments_are_refused(arguments: tuple[int, ...]) -> None:
    for layer in (BatchNorm1d, BatchNorm2d):
        with pytest.raises(ValueError, match=f"{layer.__name__} needs num_features of at least 1, eps above 0"):
            layer(*arguments)


def test_they_say_what_they_are() -> None:
    assert repr(BatchNorm1d(5)) == "BatchNorm1d(5)"
    assert repr(BatchNorm2d(6)) == "BatchNorm2d(6)"
