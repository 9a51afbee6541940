import re
from typing import Any

import numpy as np
import pytest

from nnlab.nn import Linear, Sequential, Tanh
from nnlab.nn.penalty import Penalty
from tests.nn.numeric import central_differences


def a_network(replicas: int = 2, dtype: str = "float64") -> Sequential:
    network = Sequential([Linear(3, 4), Tanh(), Linear(4, 2)], replicas=replicas, dtype=dtype)
    for replica in range(replicas):
        rng = np.random.default_rng(replica)
        network.initialize(replica, rng, *[lambda rng, shape: rng.normal(0, 1, shape)] * 2)
    return network


def test_the_value_is_the_formulas_over_weights_only() -> None:
    network = a_network()
    values = Penalty(network, l1=[0.1, 0.3], l2=[0.5, 0.2]).forward()
    for replica, (l1, l2) in enumerate([(0.1, 0.5), (0.3, 0.2)]):
        state = network.state_dict(replica)
        weights = [w for name in ("0.weight", "2.weight") for w in state[name].ravel().tolist()]
        expected = l1 * sum(abs(w) for w in weights) + l2 / 2 * sum(w * w for w in weights)
        assert values[replica] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("settings", [{"l1": 0.3}, {"l2": 0.7}, {"l1": 0.3, "l2": 0.7}])
def test_backward_adds_its_derivative(settings: dict[str, float]) -> None:
    network = a_network()
    penalty = Penalty(network, **settings)
    network.gradients[...] = 5
    penalty.backward()
    numeric = central_differences(lambda: float(penalty.forward().sum()), network.parameters)
    np.testing.assert_allclose(network.gradients, 5 + numeric, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stack_is_its_lone_networks_to_the_bit(dtype: str) -> None:
    stack = a_network(7, dtype)
    l1, l2 = np.linspace(0.1, 0.9, 7).tolist(), np.linspace(0.2, 0.4, 7).tolist()
    penalty = Penalty(stack, l1=l1, l2=l2)
    penalty.backward()
    for replica in range(7):
        lone = a_network(1, dtype)
        lone.load_state_dict(stack.state_dict(replica))
        alone = Penalty(lone, l1=l1[replica], l2=l2[replica])
        alone.backward()
        assert alone.forward()[0] == penalty.forward()[replica]
        assert lone.gradients[0].tobytes() == stack.gradients[replica].tobytes()


def test_without_any_it_is_false() -> None:
    assert not Penalty(a_network())
    assert Penalty(a_network(), l1=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l1": -0.1}, "l1 must be at least 0, got -0.1"),
        ({"l2": [0.0, float("nan")]}, "l2 must be at least 0, got [0.0, nan]"),
        ({"l2": [0.0, 0.1]}, "in one stack l2 must be 0 for all replicas or for none"),
    ],
)
def test_what_it_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Penalty(a_network(), **settings)
