"""Every gradient against central differences, in float64, for stacks of 1 and 3."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.nn import ELU, MSE, CrossEntropy, Hinge, LeakyReLU, Linear, Loss, Module, Quadratic, ReLU, Sequential
from tests.nn.activation_cases import CASES
from tests.nn.layer_cases import LAYERS, SameDraws
from tests.nn.layers import check_derivatives, in_a_stack
from tests.nn.numeric import Float, away_from_zero, central_differences, one_hot
from tests.trajectories.cases import Case
from tests.trajectories.networks import NETWORKS
from tests.trajectories.replay import layers_of

ACTIVATIONS: dict[str, Callable[[], Module]] = {name: case.make for name, case in CASES.items()}
LOSSES: dict[str, Callable[[], Loss]] = {
    "cross_entropy": CrossEntropy,
    "cross_entropy, smoothed": lambda: CrossEntropy(label_smoothing=0.2),
    "cross_entropy, sum": lambda: CrossEntropy(reduction="sum", label_smoothing=0.1),
    "quadratic": Quadratic,
    "quadratic, sum": lambda: Quadratic(reduction="sum"),
    "mse": MSE,
    "mse, sum": lambda: MSE(reduction="sum"),
    "hinge": Hinge,
    "hinge, sum": lambda: Hinge(reduction="sum", margin=0.3),
}

activations = st.sampled_from(sorted(ACTIVATIONS)).map(ACTIVATIONS.__getitem__)
losses = st.sampled_from(sorted(LOSSES)).map(LOSSES.__getitem__)
sizes = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)
cheap = settings(deadline=None, max_examples=25)


def weighted_sum(layer: Module, x: Float, weights: Float) -> float:
    """A scalar of a layer's output, whose gradient with respect to that output is ``weights``."""
    return float(np.sum(layer.forward(x) * weights))


def is_smooth(loss: Loss, outputs: NDArray[Any], targets: Float) -> bool:
    """Whether no difference quotient of a loss crosses a kink."""
    if not isinstance(loss, Hinge):
        return True
    excess = outputs - (outputs * targets).sum(axis=1, keepdims=True) + loss.margin
    return bool((np.abs(excess) > 1e-3)[np.broadcast_to(targets, excess.shape) == 0].all())


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


@pytest.mark.parametrize("shares_inputs", [False, True])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
@given(batch=sizes, seed=seeds)
@settings(deadline=None, max_examples=5)
def test_layer(name: str, replicas: int, shares_inputs: bool, batch: int, seed: int) -> None:
    rng, layer = np.random.default_rng(seed), LAYERS[name].make()
    network = in_a_stack(layer, replicas, rng)
    network.train(not LAYERS[name].evaluated)
    layer.rngs = [SameDraws(seed + replica) for replica in range(replicas)]
    shape = (1 if shares_inputs else replicas, *LAYERS[name].sample, batch)
    # No two numbers are close together, none is close to 0: no difference quotient crosses a kink.
    x = (rng.permutation(np.prod(shape)).reshape(shape) - 3.3) / 20
    check_derivatives(network, x, rng)


@pytest.mark.parametrize("shares_targets", [False, True])
@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
@given(classes=sizes, batch=sizes, seed=seeds)
@cheap
def test_loss(name: str, replicas: int, shares_targets: bool, classes: int, batch: int, seed: int) -> None:
    rng, loss = np.random.default_rng(seed), LOSSES[name]()
    outputs = rng.normal(0, 2, (replicas, classes, batch))
    targets = one_hot(rng, 1 if shares_targets else replicas, classes, batch)
    assume(is_smooth(loss, outputs, targets))
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
    assume(is_smooth(loss, network.forward(x), targets))
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


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_architecture(name: str, seed: int) -> None:
    """The networks of the trajectories, with tanh, in a stack of two."""
    rng = np.random.default_rng(seed)
    network = Sequential(
        layers_of(Case(name)), replicas=2, dtype=np.float64, rngs=[SameDraws(replica) for replica in range(2)]
    )
    network.parameters[...] = rng.normal(size=network.parameters.shape)
    network.state[...] = 1
    check_derivatives(network, rng.normal(size=(2, NETWORKS[name].in_features, 5)), rng, h=1e-6)
