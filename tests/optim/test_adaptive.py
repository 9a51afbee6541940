"""Adam, AdamW, RMSprop and Adagrad against their formulas, number by number."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import Linear, Sequential
from nnlab.optim import Adagrad, Adam, AdamW, Optimizer, RMSprop
from tests.optim import textbook
from tests.optim.stepping import R, a_network, run

fractions = st.floats(0, 0.99)
each_lr = st.lists(st.floats(1e-3, 1), min_size=R, max_size=R)
each_decay = st.lists(st.floats(1e-4, 0.5), min_size=R, max_size=R) | st.just([0.0] * R)
each_momentum = st.lists(st.floats(0.01, 0.99), min_size=R, max_size=R) | st.just([0.0] * R)
own_multipliers = st.lists(st.lists(st.floats(0, 2), min_size=R, max_size=R), min_size=1, max_size=6)
decays = st.sampled_from(["weights", "all"])
epsilons = st.sampled_from([1e-8, 1e-3, 0.1])


def check(
    make: Callable[[Sequential], Optimizer],
    reference: Callable[..., textbook.Result],
    own: list[dict[str, Any]],
    lr: list[float],
    weight_decay: list[float],
    decay: str,
    multipliers: list[list[float]],
) -> None:
    """Compare every parameter and every state with the reference, whose further arguments are ``own`` a replica's."""
    network = a_network()
    start = {name: view.copy() for name, view in network.views(network.parameters).items()}
    optimizer = make(network)
    gradients = run(network, optimizer, [np.array(each) for each in multipliers])
    for name, view in network.views(network.parameters).items():
        for index in np.ndindex(view.shape):
            r = index[0]
            w, state = reference(
                float(start[name][index]),
                [float(each[name][index]) for each in gradients],
                [lr[r] * each[r] for each in multipliers],
                weight_decay[r] if name.endswith("weight") or decay == "all" else 0.0,
                **own[r],
            )
            assert view[index] == pytest.approx(w, rel=1e-9, abs=1e-11)
            arrays = optimizer.state_dict(r)
            for kind, value in state.items():
                if f"{kind}.{name}" in arrays:
                    assert arrays[f"{kind}.{name}"][index[1:]] == pytest.approx(value, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("kind", [Adam, AdamW])
@given(lr=each_lr, weight_decay=each_decay, decay=decays, multipliers=own_multipliers, data=st.data())
@settings(deadline=None, max_examples=15)
def test_adam(
    kind: type[Adam],
    lr: list[float],
    weight_decay: list[float],
    decay: Any,
    multipliers: list[list[float]],
    data: st.DataObject,
) -> None:
    own: dict[str, Any] = {"beta1": data.draw(fractions), "beta2": data.draw(fractions), "eps": data.draw(epsilons)}
    make = functools.partial(kind, lr=lr, weight_decay=weight_decay, decay=decay, **own)
    reference = functools.partial(textbook.adam, decoupled=kind is AdamW)
    check(make, reference, [own] * R, lr, weight_decay, decay, multipliers)


@given(
    lr=each_lr,
    weight_decay=each_decay,
    decay=decays,
    multipliers=own_multipliers,
    momentum=each_momentum,
    alpha=st.floats(0.3, 0.99),  # near 0 a centred variance is nothing but rounding
    eps=st.sampled_from([1e-3, 0.1]),
    centered=st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_rmsprop(
    lr: list[float],
    weight_decay: list[float],
    decay: Any,
    multipliers: list[list[float]],
    momentum: list[float],
    alpha: float,
    eps: float,
    centered: bool,
) -> None:
    make = functools.partial(
        RMSprop,
        lr=lr,
        weight_decay=weight_decay,
        decay=decay,
        momentum=momentum,
        alpha=alpha,
        eps=eps,
        centered=centered,
    )
    own = [{"momentum": mine, "alpha": alpha, "eps": eps, "centered": centered} for mine in momentum]
    check(make, textbook.rmsprop, own, lr, weight_decay, decay, multipliers)


@given(
    lr=each_lr,
    weight_decay=each_decay,
    decay=decays,
    multipliers=own_multipliers,
    lr_decay=st.floats(0, 1),
    eps=epsilons,
    initial=st.floats(0, 2),
)
@settings(deadline=None, max_examples=15)
def test_adagrad(
    lr: list[float],
    weight_decay: list[float],
    decay: Any,
    multipliers: list[list[float]],
    lr_decay: float,
    eps: float,
    initial: float,
) -> None:
    make = functools.partial(
        Adagrad,
        lr=lr,
        weight_decay=weight_decay,
        decay=decay,
        lr_decay=lr_decay,
        eps=eps,
        initial_accumulator_value=initial,
    )
    own = {"lr_decay": lr_decay, "eps": eps, "initial": initial}
    check(make, textbook.adagrad, [own] * R, lr, weight_decay, decay, multipliers)


BY_HAND: list[tuple[type[Optimizer], dict[str, Any], list[float]]] = [
    # m = 1/4, v = 1/16: m / (1/2) = 1/2, sqrt(v / (1/4)) = 1/2: a step of lr. Then m = 0.
    (Adam, {"lr": 0.1, "beta1": 0.5, "beta2": 0.75}, [0.9, 0.9]),
    (AdamW, {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "weight_decay": 0.5}, [0.95 - 0.1, 0.95 * 0.85]),
    # s = 1/16: a step of 2 lr. Then s = 3/64 + 1/64 = 1/16: a step of lr back.
    (RMSprop, {"lr": 0.1, "alpha": 0.75}, [0.8, 0.9]),
    # s = 1/16, m = 1/8: b = (1/2) / sqrt(3/64). Then s = 1/16, m = 3/32 - 1/16 = 1/32.
    (
        RMSprop,
        {"lr": 0.1, "alpha": 0.75, "centered": True, "momentum": 0.5},
        [
            1 - 0.1 * 4 / math.sqrt(3),
            1 - 0.1 * 4 / math.sqrt(3) - 0.1 * (2 / math.sqrt(3) - 0.25 / math.sqrt(1 / 16 - 1 / 1024)),
        ],
    ),
    # s = 3/4 + 1/4 = 1. Then s = 17/16, and lr is halved.
    (
        Adagrad,
        {"lr": 0.1, "lr_decay": 1.0, "initial_accumulator_value": 0.75},
        [0.95, 0.95 + 0.05 * 0.25 / math.sqrt(17 / 16)],
    ),
]

FROM_PYTORCH = [
    [0.900000002, 0.900000002],
    [0.8500000019999999, 0.8075000018999999],
    [0.8000000079999996, 0.9000000039999998],
    [0.7690599029908158, 0.7543803765585257],
    [0.950000000005, 0.9621267812556401],
]
"""What torch 2.13 gives for the same settings, parameter and gradients; the difference to the above is eps."""


@pytest.mark.parametrize(("case", "from_pytorch"), list(zip(BY_HAND, FROM_PYTORCH, strict=True)))
def test_the_first_two_updates_by_hand(
    case: tuple[type[Optimizer], dict[str, Any], list[float]], from_pytorch: list[float]
) -> None:
    kind, arguments, by_hand = case
    network = Sequential([Linear(1, 1)], dtype=np.float64)
    optimizer: Optimizer = kind(network, **arguments)
    weight, gradient = network.state_dict()["0.weight"], network.views(network.gradients)["0.weight"]
    weight[...] = 1
    for raw, expected, exactly in zip([0.5, -0.25], by_hand, from_pytorch, strict=True):
        gradient[...] = raw
        optimizer.step()
        assert weight.item() == pytest.approx(expected, abs=2e-8)
        assert weight.item() == pytest.approx(exactly, rel=1e-14)


def test_a_variance_that_rounding_makes_negative_is_zero() -> None:
    """PyTorch's centred RMSprop gives NaN here: a constant gradient's mean square less its squared mean."""
    network = Sequential([Linear(8, 8)], dtype=np.float32)
    optimizer = RMSprop(network, lr=1e-3, alpha=0.5, centered=True, eps=0.1)
    for _ in range(100):
        for view in network.views(network.gradients).values():
            view[...] = np.linspace(1, 2, view.size).reshape(view.shape)
        optimizer.step()
    assert np.isfinite(network.parameters).all()


def test_weight_decay_is_decoupled_in_adamw_only() -> None:
    """Without a gradient AdamW shrinks a weight by 1 - lr weight_decay; Adam takes a whole step of lr."""
    for kind, expected in ((AdamW, 2 * 0.95), (Adam, 2 - 0.1)):
        network = Sequential([Linear(1, 1)], dtype=np.float64)
        weight = network.state_dict()["0.weight"]
        weight[...] = 2
        kind(network, lr=0.1, weight_decay=0.5).step()
        assert weight.item() == pytest.approx(expected, rel=1e-7)


REFUSED: list[tuple[type[Optimizer], dict[str, Any], str]] = [
    *((kind, {"lr": 0.0}, "lr must be above 0, got 0.0") for kind in (Adam, AdamW, RMSprop, Adagrad)),
    *((kind, {"eps": 0.0}, "eps must be above 0, got 0.0") for kind in (Adam, AdamW, RMSprop, Adagrad)),
    *((kind, {"eps": math.nan}, "eps must be above 0, got nan") for kind in (Adam, AdamW, RMSprop, Adagrad)),
    *((kind, {"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1") for kind in (Adam, AdamW, RMSprop)),
    (Adagrad, {"weight_decay": [0.1, 0.0, 0.1]}, "in one stack weight_decay must be 0 for all replicas or for none"),
    (Adam, {"beta1": 1.0}, "beta1 must be at least 0 and below 1, got 1.0"),
    (Adam, {"beta2": -0.1}, "beta2 must be at least 0 and below 1, got -0.1"),
    (AdamW, {"beta2": math.nan}, "beta2 must be at least 0 and below 1, got nan"),
    (RMSprop, {"alpha": 1.0}, "alpha must be at least 0 and below 1, got 1.0"),
    (RMSprop, {"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
    (RMSprop, {"momentum": [0.1, 0.0, 0.1]}, "in one stack momentum must be 0 for all replicas or for none"),
    (RMSprop, {"momentum": [0.1, 0.1]}, "momentum has 2 values for 3 replicas"),
    (Adagrad, {"lr_decay": -1.0}, "lr_decay must be at least 0, got -1.0"),
    (Adagrad, {"initial_accumulator_value": -1.0}, "initial_accumulator_value must be at least 0, got -1.0"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), REFUSED)
def test_what_is_out_of_range_is_refused(kind: Callable[..., Optimizer], arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(a_network(), **arguments)
