import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.nn import Linear, Sequential
from nnlab.optim import SGD
from tests.optim.stepping import R, a_network, run


def textbook(
    w: float, grads: list[float], lrs: list[float], *, momentum: float, decay: float, nesterov: bool, inside: bool
) -> tuple[float, float]:
    """One parameter's way, number by number; return it and its velocity."""
    v = 0.0
    for raw, lr in zip(grads, lrs, strict=True):
        g = raw + decay * w
        if inside:
            v = momentum * v + lr * g
            w = w - (lr * g + momentum * v if nesterov else v)
        else:
            v = momentum * v + g
            w = w - lr * (g + momentum * v if nesterov else v)
    return w, v


@given(
    momentum=st.lists(st.floats(0.01, 0.99), min_size=R, max_size=R) | st.just([0.0] * R),
    weight_decay=st.lists(st.floats(1e-4, 0.5), min_size=R, max_size=R) | st.just([0.0] * R),
    lr=st.lists(st.floats(1e-3, 1), min_size=R, max_size=R),
    multipliers=st.lists(st.lists(st.floats(0, 2), min_size=R, max_size=R), min_size=1, max_size=6),
    decay=st.sampled_from(["weights", "all"]),
    velocity=st.sampled_from(["lr_outside", "lr_inside"]),
    wants_nesterov=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_every_parameter_goes_the_textbooks_way(
    momentum: list[float],
    weight_decay: list[float],
    lr: list[float],
    multipliers: list[list[float]],
    decay: Any,
    velocity: Any,
    wants_nesterov: bool,
) -> None:
    """lr, its multiplier, momentum and weight decay are each replica's own; nothing decays a bias unasked."""
    nesterov = wants_nesterov and any(momentum)
    network = a_network()
    start = {name: view.copy() for name, view in network.views(network.parameters).items()}
    optimizer = SGD(
        network,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        decay=decay,
        velocity=velocity,
        nesterov=nesterov,
    )
    gradients = run(network, optimizer, [np.array(each) for each in multipliers])
    for name, view in network.views(network.parameters).items():
        for index in np.ndindex(view.shape):
            r = index[0]
            w, v = textbook(
                float(start[name][index]),
                [float(each[name][index]) for each in gradients],
                [lr[r] * each[r] for each in multipliers],
                momentum=momentum[r],
                decay=weight_decay[r] if name.endswith("weight") or decay == "all" else 0.0,
                nesterov=nesterov,
                inside=velocity == "lr_inside",
            )
            assert view[index] == pytest.approx(w, rel=1e-12, abs=1e-12)
            if any(momentum):
                own = optimizer.state_dict(r)[f"velocity.{name}"]
                assert own[index[1:]] == pytest.approx(v, rel=1e-12, abs=1e-12)


def test_by_hand() -> None:
    network = Sequential([Linear(1, 1)], dtype=np.float64)
    optimizer = SGD(network, lr=0.5, momentum=0.5, weight_decay=1.0)
    parameter, gradient = network.state_dict(), network.views(network.gradients)
    parameter["0.weight"][...], parameter["0.bias"][...] = 4, 4
    gradient["0.weight"][...], gradient["0.bias"][...] = 2, 2
    np.testing.assert_array_equal(optimizer.step(), [0.5])
    assert parameter["0.weight"] == 4 - 0.5 * (2 + 4)  # v = 6
    assert parameter["0.bias"] == 4 - 0.5 * 2  # v = 2
    gradient["0.weight"][...], gradient["0.bias"][...] = 0, 0
    np.testing.assert_array_equal(optimizer.step(0.5), [0.25])
    assert parameter["0.weight"] == 1 - 0.25 * (3 + 1)
    assert parameter["0.bias"] == 3 - 0.25 * 1


def test_learning_rates_inside_and_outside_agree_while_it_is_constant_and_only_then() -> None:
    def trained(velocity: Any, multipliers: list[float]) -> NDArray[Any]:
        network = a_network()
        run(network, SGD(network, lr=0.1, momentum=0.9, velocity=velocity), multipliers)
        return network.parameters

    same = [0.5] * 6
    np.testing.assert_allclose(trained("lr_inside", same), trained("lr_outside", same), rtol=1e-12, atol=1e-13)
    falling = [1, 0.5, 0.25]
    assert np.abs(trained("lr_inside", falling) - trained("lr_outside", falling)).max() > 1e-2


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"lr": 0.0}, "lr must be above 0, got 0.0"),
    ({"lr": -0.1}, "lr must be above 0, got -0.1"),
    ({"lr": math.nan}, "lr must be above 0, got nan"),
    ({"lr": [0.1, 0.1, 0.0]}, "lr must be above 0"),
    ({"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
    ({"momentum": -0.1}, "momentum must be at least 0 and below 1, got -0.1"),
    ({"momentum": math.nan}, "momentum must be at least 0 and below 1, got nan"),
    ({"momentum": [0.5, 0.5, 1.5]}, "momentum must be at least 0 and below 1"),
    ({"weight_decay": -1e-9}, "weight_decay must be at least 0, got -1e-09"),
    ({"weight_decay": math.nan}, "weight_decay must be at least 0, got nan"),
    ({"weight_decay": [0.1, -0.1, 0.1]}, "weight_decay must be at least 0"),
    ({"momentum": [0.5, 0.0, 0.5]}, "in one stack momentum must be 0 for all replicas or for none"),
    ({"weight_decay": [0.0, 0.0, 0.1]}, "in one stack weight_decay must be 0 for all replicas or for none"),
    ({"nesterov": True}, "nesterov needs a momentum above 0"),
    ({"lr": [0.1, 0.2]}, "lr has 2 values for 3 replicas"),
    ({"momentum": [0.1] * 4}, "momentum has 4 values for 3 replicas"),
    ({"weight_decay": [0.1] * 2}, "weight_decay has 2 values for 3 replicas"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_is_out_of_range_is_refused(arguments: dict[str, Any], message: str) -> None:
    make: Callable[..., SGD] = SGD
    with pytest.raises(ValueError, match=message):
        make(a_network(), **{"lr": 0.1, **arguments})
