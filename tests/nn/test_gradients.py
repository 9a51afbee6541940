"""Every gradient against central differences, in float64, for stacks of 1 and 3."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nnlab.nn import ELU, MSE, CrossEntropy, LeakyReLU, Linear, Loss, Module, Quadratic, ReLU, Sequential
from tests.nn.activation_cases import CASES
from tests.nn.numeric import Float, away_from_zero, central_differences, one_hot

ACTIVATIONS: dict[str, Callable[[], Module]] = {name: case.make for name, case in CASES.items()}
LOSSES: dict[str, Callable[[], Loss]] = {"cross_entropy": CrossEntropy, "quadratic": Quadratic, "mse": MSE}

activations = st.sampled_from(sorted(ACTIVATIONS)).map(ACTIVATIONS.__getitem__)
losses = st.sampled_from(sorted(LOSSES)).map(LOSSES.__getitem__)
sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)
cheap = settings(deadline=None, max_examples=25)


def weighted_sum(layer: Module, x: Float, weights: Float) -> float:
    """A scalar of a layer's output, whose gradient with respect to that output is ``weights``."""
    return float(np.sum(layer.forward(x) * weights))


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", ACTIVATIONS)
@given(features=sizes, batch=sizes, seed=seeds)
@cheap
def test_activation(name: str, replicas: int, features: int, batch: int, seed: int) -> None:
    rng, layer = np.random.default_rng(seed), ACTIVATIONS[name]()
    x = away_from_zero(rng, (replicas, features, batch))
    upstream = rng.normal(size=x.shape)
    expected = central_differences(lambda: weighted_sum(layer, x, upstream), x)
    layer.forward(x)
    gradient = layer.backward(upstream.copy())
    assert gradient is not None
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


@pytest.mark.parametrize("shares_inputs", [False, True])
@pytest.mark.parametrize("replicas", [1, 3])
@given(inputs=sizes, outputs=sizes, batch=sizes, seed=seeds)
@cheap
def test_linear(replicas: int, shares_inputs: bool, inputs: int, outputs: int, batch: int, seed: int) -> None:
    rng, layer = np.random.default_rng(seed), Linear(inputs, outputs)
    network = Sequential([layer], replicas=replicas, dtype=np.float64)
    layer.weight[...], layer.bias[...] = rng.normal(size=layer.weight.shape), rng.normal(size=layer.bias.shape)
    x = rng.normal(size=(1 if shares_inputs else replicas, inputs, batch))
    upstream = rng.normal(size=(replicas, outputs, batch))
    d_weight, d_bias, d_x = (
        central_differences(lambda: weighted_sum(layer, x, upstream), array) for array in (layer.weight, layer.bias, x)
    )
    network.forward(x)
    grad_x = network.backward(upstream, input_grad=True)
    np.testing.assert_allclose(layer.weight_grad, d_weight, atol=1e-8)
    np.testing.assert_allclose(layer.bias_grad, d_bias, atol=1e-8)
    assert grad_x is not None
    # Where the replicas share their inputs, the scalar feels a change of x through all of them.
    np.testing.assert_allclose(grad_x.sum(axis=0, keepdims=True) if shares_inputs else grad_x, d_x, atol=1e-8)


@pytest.mark.parametrize("shares_targets", [False, True])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
@given(classes=sizes, batch=sizes, seed=seeds)
@cheap
def test_loss(name: str, replicas: int, shares_targets: bool, classes: int, batch: int, seed: int) -> None:
    rng, loss = np.random.default_rng(seed), LOSSES[name]()
    outputs = rng.normal(0, 2, (replicas, classes, batch))
    targets = one_hot(rng, 1 if shares_targets else replicas, classes, batch)
    expected = central_differences(lambda: float(loss.forward(outputs, targets).sum()), outputs)
    loss.forward(outputs, targets)
    np.testing.assert_allclose(loss.backward(), expected, atol=1e-8)


@pytest.mark.parametrize("replicas", [1, 3])
@given(
    activation=activations,
    make_loss=losses,
    widths=st.lists(sizes, min_size=2, max_size=4),
    batch=sizes,
    ends_in_activation=st.booleans(),
    seed=seeds,
)
@cheap
def test_whole_network(
    replicas: int,
    activation: Callable[[], Module],
    make_loss: Callable[[], Loss],
    widths: list[int],
    batch: int,
    ends_in_activation: bool,
    seed: int,
) -> None:
    rng, loss = np.random.default_rng(seed), make_loss()
    layers: list[Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [Linear(before, after), activation()]
    network = Sequential(layers if ends_in_activation else layers[:-1], replicas=replicas, dtype=np.float64)
    for parameters in (network.state_dict(replica) for replica in range(replicas)):
        for parameter in parameters.values():
            parameter[...] = rng.normal(size=parameter.shape)
    x = rng.normal(size=(replicas, widths[0], batch))
    targets = one_hot(rng, replicas, widths[-1], batch)

    def total() -> float:
        return float(loss.forward(network.forward(x), targets).sum())

    total()
    # No difference quotient may cross a kink.
    assume(all(np.abs(layer.z).min() > 1e-4 for layer in network.layers if isinstance(layer, (ReLU, LeakyReLU, ELU))))
    h = 1e-6
    expected_x = central_differences(total, x, h)
    expected = {name: central_differences(total, view, h) for name, view in network.views(network.parameters).items()}
    total()
    grad_x = network.backward(loss.backward(), input_grad=True)
    assert grad_x is not None
    np.testing.assert_allclose(grad_x, expected_x, atol=1e-7, rtol=1e-6)
    gradients = network.views(network.gradients)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-7, rtol=1e-6, err_msg=name)
