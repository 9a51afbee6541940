"""What every optimiser does: solve a parabola, treat a stack as lone runs, ignore where blocks end, save its state."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab import paths
from nnlab.components import Component, shipped_targets
from nnlab.nn import Linear, Sequential
from nnlab.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, blocks
from tests.optim.stepping import EVERY, R, a_network, run, used_places

every = pytest.mark.parametrize("name", list(EVERY))


def made(name: str, network: Sequential, **arguments: Any) -> Optimizer:
    kind, settings_ = EVERY[name]
    return kind(network, **{**settings_, **arguments})


def test_every_shipped_optimizer_is_tested() -> None:
    """Each is tried here with every test that walks ``EVERY``."""
    shipped = {
        target for target in shipped_targets() if target.startswith("nnlab.optim.") and ".schedules." not in target
    }
    tested = {f"{kind.__module__}.{kind.__name__}" for kind, _ in EVERY.values()}
    assert tested == shipped - {"nnlab.optim.plateau.ReduceOnPlateau"}
    assert len(tested) == len(list((paths.conf_dir() / "optimizer").glob("*.yaml")))


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_optimizer_solves_the_same_parabola(name: str, dtype: Any) -> None:
    """Sum of (w - target)^2 over a weight of two numbers, as in optax's tests."""
    network = Sequential([Linear(2, 1)], dtype=dtype)
    weight, gradient = network.state_dict()["0.weight"], network.views(network.gradients)["0.weight"][0]
    weight[...], target = [[-1.0, 10.0]], np.array([[1.0, -1.0]], dtype)
    optimizer = made(name, network, weight_decay=0.0)
    for update in range(1000):
        gradient[...] = 2 * (weight - target)
        optimizer.step(1 - update / 1000)
    np.testing.assert_allclose(weight, target, atol=5e-3)


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_a_stack_is_its_lone_runs_bit_for_bit(name: str, dtype: Any, replicas: int, shared: bool) -> None:
    rng = np.random.default_rng(3)
    own: list[dict[str, Any]] = [{"weight_decay": 0.1, "lr": 0.05}] * replicas
    multipliers: list[Any] = [1.0, 0.5, 0.25]
    if not shared:
        own = [{"weight_decay": rng.uniform(0.01, 0.1), "lr": rng.uniform(0.01, 0.1)} for _ in range(replicas)]
        multipliers = [rng.uniform(0, 1, replicas) for _ in range(3)]
        if "momentum" in EVERY[name][1]:
            own = [{**each, "momentum": rng.uniform(0.1, 0.9)} for each in own]
    clipping = {"clip_value": 1.5, "clip_norm": 2.5}
    stack = a_network(replicas, dtype)
    together = {key: [each[key] for each in own] for key in own[0]}
    stacked = made(name, stack, **together, **clipping)
    run(stack, stacked, multipliers)
    lone_starts = a_network(replicas, dtype)
    for replica in range(replicas):
        lone = a_network(1, dtype)
        lone.load_state_dict(lone_starts.state_dict(replica))
        optimizer = made(name, lone, **own[replica], **clipping)
        run(lone, optimizer, multipliers if shared else [m[replica : replica + 1] for m in multipliers], [[1, replica]])
        np.testing.assert_array_equal(stack.parameters[replica], lone.parameters[0])
        for key, array in optimizer.state_dict().items():
            np.testing.assert_array_equal(stacked.state_dict(replica)[key], array)
            assert array.dtype == (np.int64 if key == "step" else dtype)


@every
@pytest.mark.parametrize("decay", ["weights", "all"])
@given(lines=st.integers(1, 40), replicas=st.integers(1, 9), dtype=st.sampled_from(["float32", "float64"]))
@settings(deadline=None, max_examples=6)
def test_where_blocks_end_changes_no_bit(name: str, decay: Any, lines: int, replicas: int, dtype: Any) -> None:
    """Blocks of some cache lines: less than a layer, less than a replica, some replicas, all of them."""
    own = {"lr": np.linspace(0.01, 0.02, replicas).tolist(), "weight_decay": np.linspace(0.1, 0.2, replicas).tolist()}
    if "momentum" in EVERY[name][1]:
        own["momentum"] = np.linspace(0.5, 0.9, replicas).tolist()
    arguments = {**own, "decay": decay, "clip_norm": 1.0}

    def trained() -> tuple[NDArray[Any], list[NDArray[Any]]]:
        network = a_network(replicas, dtype)
        optimizer = made(name, network, **arguments)
        run(network, optimizer, [1.0, 0.5])
        return network.parameters, list(optimizer.state.values())

    whole = trained()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 64 * lines)
        cut = trained()
    np.testing.assert_array_equal(cut[0], whole[0])
    np.testing.assert_array_equal(cut[1], whole[1])


@given(replicas=st.integers(1, 9), size=st.integers(1, 50), per_block=st.integers(1, 120), decayed=st.integers(0, 50))
@settings(deadline=None, max_examples=60)
def test_blocks_cover_every_number_once(replicas: int, size: int, per_block: int, decayed: int) -> None:
    parameters, gradients, state = (np.zeros((replicas, size)) for _ in range(3))
    decayed = min(decayed, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 8 * per_block)
        cut = blocks.cut(parameters, gradients, [state], decayed)
    column = np.arange(replicas, dtype=np.float64)
    for block in cut:
        assert block.parameters.size <= per_block
        assert block.parameters.flags.c_contiguous
        assert block.scratch.shape == block.parameters.shape
        np.add(block.parameters, block.of(blocks.column(column, np.dtype(np.float64))) + 1, out=block.parameters)
        np.add(block.gradients, 1, out=block.gradients)
        np.add(block.state[0], 1, out=block.state[0])
        np.add(block.decayed[1], 1, out=block.decayed[1])
    np.testing.assert_array_equal(parameters, np.repeat(column[:, None] + 1, size, axis=1))
    np.testing.assert_array_equal(gradients, 1 + np.repeat([np.arange(size) < decayed], replicas, axis=0))
    np.testing.assert_array_equal(state, 1)


@every
def test_gaps_between_the_parameters_stay_zero(name: str) -> None:
    network = a_network()
    optimizer = made(name, network, weight_decay=0.1, decay="all", clip_norm=1.0)
    run(network, optimizer, [1.0] * 5)
    places = used_places(network)
    assert not places.all()
    assert network.parameters[places].all()
    assert not network.parameters[~places].any()
    for flat in optimizer.state.values():
        assert flat[places].all()


@every
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_biases_decay_only_when_asked(name: str, decay: Any) -> None:
    def trained(weight_decay: float) -> dict[str, NDArray[Any]]:
        network = a_network()
        run(network, made(name, network, weight_decay=weight_decay, decay=decay), [1.0])
        return network.views(network.parameters)

    without, with_ = trained(0.0), trained(0.4)
    # The first step of these divides by the gradient itself, all but eps: only its sign counts.
    is_sign_only = name.startswith(("adam", "adagrad", "rmsprop")) and name not in ("adamw", "adagrad-decay")
    for key in without:
        is_equal = np.array_equal(without[key], with_[key])
        if key.endswith("bias") and decay == "weights":
            assert is_equal
        elif not is_sign_only:
            assert not is_equal


@every
def test_a_step_returns_the_learning_rates_used(name: str) -> None:
    optimizer = made(name, a_network(), lr=[0.1, 0.2, 0.4])
    np.testing.assert_array_equal(optimizer.step(0.5), [0.05, 0.1, 0.2])
    own = np.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(optimizer.learning_rates(own), [0.1, 0.1, 0.0])
    np.testing.assert_array_equal(optimizer.step(own), optimizer.learning_rates(own))
    np.testing.assert_array_equal(made(name, a_network(), lr=0.1).step(), [0.1, 0.1, 0.1])


@every
def test_a_learning_rate_of_0_moves_nothing(name: str) -> None:
    network = a_network()
    before = network.parameters.copy()
    run(network, made(name, network, weight_decay=0.1), [0.0] * 3)
    np.testing.assert_array_equal(network.parameters, before)


@every
def test_what_is_saved_and_loaded_goes_on_as_if_nothing_had_happened(name: str) -> None:
    network, later = a_network(), [[2, replica] for replica in range(R)]
    optimizer = made(name, network, weight_decay=0.1)
    run(network, optimizer, [1.0, 0.5])
    other = a_network(seed=9)
    resumed = made(name, other, weight_decay=0.1)
    for replica in range(R):
        other.load_state_dict(network.state_dict(replica), replica)
        saved = {key: array.copy() for key, array in optimizer.state_dict(replica).items()}
        resumed.load_state_dict(saved, replica)
    run(network, optimizer, [0.5, 0.25], later)
    run(other, resumed, [0.5, 0.25], later)
    np.testing.assert_array_equal(other.parameters, network.parameters)


STATES: list[tuple[str, list[str]]] = [
    ("sgd", []),
    ("momentum", ["velocity"]),
    ("adam", ["step", "exp_avg", "exp_avg_sq"]),
    ("adamw", ["step", "exp_avg", "exp_avg_sq"]),
    ("rmsprop", ["square_avg"]),
    ("rmsprop-centered", ["square_avg", "momentum_buffer", "grad_avg"]),
    ("adagrad", ["step", "sum"]),
]


@pytest.mark.parametrize(("name", "kinds"), STATES)
def test_state_dict_names_arrays_after_the_parameters(name: str, kinds: list[str]) -> None:
    network = a_network()
    optimizer = made(name, network)
    run(network, optimizer, [1.0] * 4)
    state = optimizer.state_dict(2)
    places = ["0.weight", "0.bias", "2.weight", "2.bias"]
    expected = [[kind] if kind == "step" else [f"{kind}.{place}" for place in places] for kind in kinds]
    assert list(state) == list(itertools.chain.from_iterable(expected))
    if "step" in state:
        assert state["step"].shape == ()
        assert state["step"] == 4


def test_a_state_that_does_not_fit_is_refused() -> None:
    adam, sgd = Adam(a_network()), SGD(a_network(), lr=0.1)
    state = adam.state_dict()
    with pytest.raises(ValueError, match=r"the optimiser has step, exp_avg\.0\.weight.*; given were none"):
        adam.load_state_dict({})
    with pytest.raises(ValueError, match="the optimiser has no arrays; given were step"):
        sgd.load_state_dict(state)
    with pytest.raises(ValueError, match=r"exp_avg\.0\.bias has shape \[2\]; given was \[1\]"):
        adam.load_state_dict({**state, "exp_avg.0.bias": np.zeros(1)})


@given(
    lr=st.lists(st.floats(1e-3, 1), min_size=R, max_size=R),
    multiplier=st.floats(0, 2),
    velocity=st.sampled_from(["lr_outside", "lr_inside"]),
)
@settings(deadline=None, max_examples=20)
def test_gradients_that_carry_the_learning_rate_give_the_same(
    lr: list[float], multiplier: float, velocity: Any
) -> None:
    separate, together = a_network(), a_network()
    optimizer = SGD(together, lr=lr, velocity=velocity)
    assert optimizer.folds
    rates = SGD(separate, lr=lr).learning_rates(multiplier)
    for network in (separate, together):
        network.gradients[...] = np.random.default_rng(0).normal(size=network.gradients.shape) * used_places(network)
    together.gradients *= rates[:, None]
    SGD(separate, lr=lr).step(multiplier)
    np.testing.assert_array_equal(optimizer.step(multiplier, folded=True), rates)
    np.testing.assert_allclose(together.parameters, separate.parameters, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (SGD, {"momentum": 0.9}),
        (SGD, {"weight_decay": 0.1}),
        (SGD, {"clip_value": 1.0}),
        (SGD, {"clip_norm": 1.0}),
        (Adam, {}),
        (AdamW, {}),
        (RMSprop, {}),
        (Adagrad, {}),
    ],
)
def test_only_plain_sgd_folds(kind: Any, arguments: dict[str, Any]) -> None:
    optimizer = kind(a_network(), lr=0.1, **arguments)
    assert not optimizer.folds
    with pytest.raises(ValueError, match=f"{kind.__name__} can't take gradients that carry the learning rate"):
        optimizer.step(folded=True)


@pytest.mark.parametrize("path", sorted((paths.conf_dir() / "optimizer").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configs_defaults_are_the_classes_own(path: Any) -> None:
    """So that Python and the command line mean the same by ``adam``; SGD's lr has no default in Python."""
    yaml = pytest.importorskip("yaml")
    component = Component(**yaml.safe_load(path.read_text(encoding="utf-8")))
    component.check("optimizer")
    network = a_network(1)
    configured = component.build("optimizer", network)
    own = type(configured)(network, **({"lr": 0.1} if path.stem == "sgd" else {}))
    for name in ("lr", "weight_decay", "clip_value", "clip_norm", "beta1", "beta2", "eps", "momentum", "lr_decay"):
        assert getattr(configured, name, None) == getattr(own, name, None)
