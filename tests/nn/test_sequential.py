import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from nnlab.nn import Identity, Linear, Module, ReLU, Sequential, Sigmoid, Tanh, mlp


def small(replicas: int = 2, dtype: DTypeLike = np.float64) -> Sequential:
    return Sequential([Linear(3, 5), Tanh(), Linear(5, 2)], replicas=replicas, dtype=dtype)


NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_names_and_order_are_those_of_torch_nn_sequential() -> None:
    """``list(torch.nn.Sequential(Linear, Identity, Linear, Sigmoid, ReLU, Linear).state_dict())``."""
    layers = [Linear(4, 3), Identity(), Linear(3, 3), Sigmoid(), ReLU(), Linear(3, 2)]
    names = ["0.weight", "0.bias", "2.weight", "2.bias", "5.weight", "5.bias"]
    state = Sequential(layers).state_dict()
    assert list(state) == names
    assert [array.shape for array in state.values()] == [(3, 4), (3,), (3, 3), (3,), (2, 3), (2,)]


def test_forward_is_the_composition_of_the_textbooks_equations() -> None:
    network, rng = small(), np.random.default_rng(0)
    network.parameters[...] = rng.normal(size=network.parameters.shape)
    x = rng.normal(size=(2, 3, 4))
    outputs = network.forward(x)
    for r, n in itertools.product(range(2), range(4)):
        p = network.state_dict(r)
        hidden = [math.tanh(sum(p["0.weight"][j] * x[r, :, n]) + p["0.bias"][j]) for j in range(5)]
        expected = [sum(p["2.weight"][k] * hidden) + p["2.bias"][k] for k in range(2)]
        np.testing.assert_allclose(outputs[r, :, n], expected, rtol=1e-13)


@given(
    widths=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    replicas=st.integers(1, 4),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(deadline=None, max_examples=25)
def test_weights_lie_first_each_at_a_cache_line_and_none_overlaps(
    widths: list[int], replicas: int, dtype: DTypeLike
) -> None:
    network = Sequential([Linear(a, b) for a, b in itertools.pairwise(widths)], replicas=replicas, dtype=dtype)
    flat = network.parameters
    places: NDArray[np.floating] = np.arange(flat.size, dtype=np.float64).reshape(flat.shape)
    views = network.views(places)
    for name, view in views.items():
        places_in_row = view[0].ravel()
        np.testing.assert_array_equal(np.diff(places_in_row), 1)
        assert places_in_row[0] * flat.itemsize % 64 == 0
        assert (places_in_row < network.weight_size).all() == name.endswith("weight")
        assert (places_in_row >= network.weight_size).all() == name.endswith("bias")
    used = np.concatenate([view.ravel() for view in views.values()])
    assert len(set(used.tolist())) == replicas * sum(a * b + b for a, b in itertools.pairwise(widths))


def test_state_dict_and_layers_share_memory_with_parameters() -> None:
    network = small()
    network.state_dict(1)["2.weight"][0, 4] = 7
    layer = network.layers[2]
    assert isinstance(layer, Linear)
    assert layer.weight[1, 0, 4] == 7
    assert layer.weight[0, 0, 4] == 0
    assert (network.parameters == 7).sum() == 1


def test_load_state_dict_sets_one_replica_from_any_order() -> None:
    network, rng = small(), np.random.default_rng(0)
    state = {name: rng.normal(size=array.shape) for name, array in network.state_dict().items()}
    network.load_state_dict(dict(reversed(state.items())), replica=1)
    for name in NAMES:
        np.testing.assert_array_equal(network.state_dict(1)[name], state[name])
        np.testing.assert_array_equal(network.state_dict(0)[name], 0)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_load_state_dict_names_what_it_wants_and_got(change: str) -> None:
    network = small()
    state = {name: array + 1 for name, array in network.state_dict().items()}
    if change == "missing":
        del state["2.bias"]
    else:
        state["3.weight"] = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"has parameters 0.weight, 0.bias, 2.weight, 2.bias; given were 0.weight, "):
        network.load_state_dict(state)
    assert not network.parameters.any()


@pytest.mark.parametrize("shape", [(5,), (3, 5), (5, 4), (1, 5, 3)])
def test_load_state_dict_refuses_another_shape(shape: tuple[int, ...]) -> None:
    network = small()
    state = {**network.state_dict(), "0.weight": np.zeros(shape)}
    with pytest.raises(ValueError, match=r"0.weight has shape \[5, 3\]; given was \[" + str(shape[0])):
        network.load_state_dict(state)


def test_initialize_draws_layer_by_layer_weight_before_bias_for_one_replica() -> None:
    network = small()
    network.initialize(
        1,
        np.random.default_rng(5),
        lambda rng, shape: rng.normal(size=shape),
        lambda rng, shape: rng.uniform(size=shape),
    )
    by_hand = np.random.default_rng(5)
    expected = [
        by_hand.normal(size=(5, 3)),
        by_hand.uniform(size=5),
        by_hand.normal(size=(2, 5)),
        by_hand.uniform(size=2),
    ]
    for name, array in zip(NAMES, expected, strict=True):
        np.testing.assert_array_equal(network.state_dict(1)[name], array)
        np.testing.assert_array_equal(network.state_dict(0)[name], 0)


def test_float32_and_float64_start_from_the_same_numbers() -> None:
    networks = [small(1, dtype) for dtype in (np.float32, np.float64)]
    for network in networks:
        network.initialize(0, np.random.default_rng(5), *[lambda rng, shape: rng.normal(size=shape)] * 2)
    single, double = (network.state_dict() for network in networks)
    for name in NAMES:
        np.testing.assert_array_equal(single[name], double[name].astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_nonfinite_names_the_first_layer(value: float) -> None:
    network = small()
    assert network.first_nonfinite(0) is None
    network.state_dict(1)["2.bias"][1] = value
    assert network.first_nonfinite(0) is None
    assert network.first_nonfinite(1) == "layer 2, Linear(5 -> 2), bias"
    network.state_dict(1)["2.weight"][0, 0] = value
    assert network.first_nonfinite(1) == "layer 2, Linear(5 -> 2), weight"
    network.state_dict(1)["0.bias"][0] = value
    assert network.first_nonfinite(1) == "layer 0, Linear(3 -> 5), bias"


def test_no_input_gradient_unless_asked() -> None:
    network = small()
    network.forward(np.ones((2, 3, 4)))
    assert network.backward(np.ones((2, 2, 4))) is None
    assert network.views(network.gradients)["2.bias"].tolist() == [[4, 4], [4, 4]]


def described(layers: list[Module]) -> list[str]:
    return [repr(layer) if isinstance(layer, Linear) else type(layer).__name__ for layer in layers]


def test_mlp_has_an_activation_behind_each_hidden_layer() -> None:
    chain = ["Linear(7 -> 5)", "Tanh", "Linear(5 -> 4)", "Tanh", "Linear(4 -> 3)"]
    assert described(mlp(7, 3, Tanh, hidden_sizes=[5, 4])) == chain
    assert described(mlp(7, 3, Tanh, Sigmoid, hidden_sizes=[5, 4])) == [*chain, "Sigmoid"]
    assert described(mlp(7, 3, Tanh, hidden_sizes=[])) == ["Linear(7 -> 3)"]
    assert described(mlp(7, 3, Identity, hidden_sizes=[5])) == ["Linear(7 -> 5)", "Identity", "Linear(5 -> 3)"]


@pytest.mark.parametrize("hidden_sizes", [[0], [5, -1]])
def test_mlp_refuses_sizes_below_1(hidden_sizes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"every size must be at least 1, got hidden_sizes=\[" + str(hidden_sizes[0])):
        mlp(3, 2, Tanh, hidden_sizes=hidden_sizes)


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, 0), (-1, 3)])
def test_linear_refuses_sizes_below_1(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match=f"sizes of at least 1, got {inputs} -> {outputs}"):
        Linear(inputs, outputs)
