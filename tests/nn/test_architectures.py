"""The architectures: which layers, what names their parameters have, what they refuse."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nnlab.components import Component
from nnlab.nn import BatchNorm1d, Identity, Module, ReLU, Sequential, Sigmoid, Tanh, lenet, mlp
from nnlab.nn.architectures import linear

CONF = Path(__file__).parents[2] / "conf" / "architecture"


def described(layers: list[Module]) -> list[str]:
    return [repr(layer).removesuffix("()") for layer in layers]


def names(layers: list[Module]) -> list[str]:
    return list(Sequential(layers).state_dict())


LENET: dict[str, Any] = {"channels": [6, 16], "hidden_sizes": [120, 84]}


def test_linear_is_one_layer() -> None:
    assert described(linear(4, 3, Tanh)) == ["Linear(4 -> 3)"]
    assert described(linear(4, 3, Tanh, Sigmoid)) == ["Linear(4 -> 3)", "Sigmoid"]


def test_mlp_with_everything() -> None:
    layers = mlp(7, 3, Tanh, Sigmoid, hidden_sizes=[5, 4], batch_norm=True, dropout=0.2)
    hidden = [
        ["Linear(7 -> 5)", "BatchNorm1d(5)", "Tanh", "Dropout(0.2)"],
        ["Linear(5 -> 4)", "BatchNorm1d(4)", "Tanh", "Dropout(0.2)"],
    ]
    assert described(layers) == [*hidden[0], *hidden[1], "Linear(4 -> 3)", "Sigmoid"]


def test_names_of_an_mlp_are_those_of_torch_nn_sequential() -> None:
    """As PyTorch's state_dict() names them of the same layers; of its names num_batches_tracked alone is missing."""
    assert names(mlp(7, 3, ReLU, hidden_sizes=[5], batch_norm=True, dropout=0.5)) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "4.weight",
        "4.bias",
    ]


def test_lenet_is_the_one_of_the_textbook() -> None:
    layers = lenet(784, 10, ReLU, **LENET)
    assert described(layers) == [
        "Unflatten(784 -> 1 x 28 x 28)",
        "Conv2d(1 -> 6, kernel_size=5, stride=1, padding=2)",
        "ReLU",
        "MaxPool2d(kernel_size=2, stride=2, padding=0)",
        "Conv2d(6 -> 16, kernel_size=5, stride=1, padding=0)",
        "ReLU",
        "MaxPool2d(kernel_size=2, stride=2, padding=0)",
        "Flatten",
        "Linear(400 -> 120)",
        "ReLU",
        "Linear(120 -> 84)",
        "ReLU",
        "Linear(84 -> 10)",
    ]
    network = Sequential(layers)
    shapes = {name: array.shape for name, array in network.state_dict().items()}
    assert shapes == {
        "1.weight": (6, 1, 5, 5),
        "1.bias": (6,),
        "4.weight": (16, 6, 5, 5),
        "4.bias": (16,),
        "8.weight": (120, 400),
        "8.bias": (120,),
        "10.weight": (84, 120),
        "10.bias": (84,),
        "12.weight": (10, 84),
        "12.bias": (10,),
    }
    assert sum(array.size for array in network.state_dict().values()) == 61_706  # the known number of its parameters


def test_lenet_with_everything() -> None:
    layers = lenet(
        3 * 12 * 12,
        2,
        Tanh,
        Sigmoid,
        channels=[4],
        hidden_sizes=[7],
        kernel_size=3,
        pooling="avg",
        in_channels=3,
        batch_norm=True,
        dropout=0.1,
    )
    assert described(layers) == [
        "Unflatten(432 -> 3 x 12 x 12)",
        "Conv2d(3 -> 4, kernel_size=3, stride=1, padding=1)",
        "BatchNorm2d(4)",
        "Tanh",
        "AvgPool2d(kernel_size=2, stride=2, padding=0)",
        "Flatten",
        "Linear(144 -> 7)",
        "BatchNorm1d(7)",
        "Tanh",
        "Dropout(0.1)",
        "Linear(7 -> 2)",
        "Sigmoid",
    ]


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("side", [12, 13, 28])
@pytest.mark.parametrize("channels", [[2], [2, 3]])
def test_lenets_layers_fit_together(kernel_size: int, side: int, channels: list[int]) -> None:
    layers = lenet(side**2, 4, ReLU, channels=channels, hidden_sizes=[6], kernel_size=kernel_size)
    network = Sequential(layers, replicas=2)
    out = network.forward(np.ones((1, side**2, 3), np.float32))
    assert out.shape == (2, 4, 3)
    network.backward(np.ones_like(out))


@pytest.mark.parametrize(
    ("features", "changes", "message"),
    [
        (783, {}, "lenet takes square images, and 783 features are not in_channels=1 of them"),
        (
            784,
            {"in_channels": 3},
            "784 features are not in_channels=3 of them; set in_channels or take architecture=mlp",
        ),
        (64, {}, "images of 8 x 8 are too small for kernel_size=5 and channels=[6, 16]: make kernel_size smaller or"),
        (784, {"channels": [6, 16, 32, 64]}, "images of 28 x 28 are too small for kernel_size=5 and channels=[6, 16,"),
        (784, {"channels": []}, "channels must name at least one convolution and every size be at least 1"),
        (784, {"channels": [6, 0]}, "every size be at least 1, got channels=[6, 0], kernel_size=5, in_channels=1"),
        (784, {"kernel_size": 0}, "every size be at least 1, got channels=[6, 16], kernel_size=0"),
        (784, {"in_channels": 0}, "kernel_size=5, in_channels=0"),
        (784, {"hidden_sizes": [0]}, "every size must be at least 1, got hidden_sizes=[0]"),
        (784, {"pooling": "min"}, "pooling must be max or avg, got min"),
        (784, {"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_lenet_refuses_what_can_not_be(features: int, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        lenet(features, 10, ReLU, **{**LENET, **changes})
    assert "\n" not in str(caught.value)


def test_mlp_refuses_a_dropout_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"dropout must be at least 0 and below 1, got -0\.5"):
        mlp(4, 3, ReLU, hidden_sizes=[5], dropout=-0.5)


@pytest.mark.parametrize(("name", "features"), [("linear", 4), ("mlp", 4), ("lenet", 784)])
def test_shipped_configs_build(name: str, features: int) -> None:
    component = Component.model_validate(yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8")))
    component.check("architecture")
    layers = component.build("architecture", features, 3, ReLU, Identity)
    assert Sequential(layers).forward(np.ones((1, features, 2), np.float32)).shape == (1, 3, 2)


def test_a_network_with_batch_norm_learns_and_evaluates_with_what_it_learned() -> None:
    """After a hundred steps on one batch, the running statistics are the batch's, so both modes agree."""
    rng = np.random.default_rng(0)
    network = Sequential(mlp(4, 2, Tanh, hidden_sizes=[5], batch_norm=True), dtype=np.float64)
    network.initialize(0, rng, *[lambda rng, shape: rng.normal(size=shape)] * 2)
    x = rng.normal(3, 2, (1, 4, 64))
    for _ in range(200):
        trained = network.forward(x).copy()
    network.eval()
    layer = network.layers[1]
    assert isinstance(layer, BatchNorm1d)
    layer.running_var *= 63 / 64
    np.testing.assert_allclose(network.forward(x), trained, atol=1e-7)
