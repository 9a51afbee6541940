"""The networks of the trajectories, each layer written out: PyTorch and nnlab have the same names for them.

``generate.py`` builds what is written here; the test builds what nnlab's ``architecture`` makes of its arguments, so
that the architectures are held against these lists too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FEATURES, PIXELS, CLASSES = 4, 64, 3

ACTIVATION, OUTPUT_ACTIVATION = "activation", "output_activation"
Layer = tuple[Any, ...]
"""The name of a class and its positional arguments; ACTIVATION stands for the case's own."""

_A: Layer = (ACTIVATION,)


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        layers: from input to output.
        architecture: the choice in ``conf/architecture`` that is to give these layers; None: there is none.
        arguments: of that architecture.
        in_features: of a sample: 4 numbers, or an image of 64 pixels.
        output_activation: what OUTPUT_ACTIVATION stands for.
    """

    layers: tuple[Layer, ...]
    architecture: str | None
    arguments: dict[str, Any] = field(default_factory=dict)
    in_features: int = FEATURES
    output_activation: str = "identity"


def _lenet(pool: str, *, batch_norm: bool = False, dropout: float = 0.0) -> tuple[Layer, ...]:
    """Channels 2 and 3, hidden layers of 4, filters of 3 x 3: images of 8, 4, 4 - 2 = 2 and 1 pixels a side."""
    norms = [[(kind, size)] if batch_norm else [] for kind, size in (("BatchNorm2d", 2), ("BatchNorm2d", 3))]
    hidden: list[Layer] = [("BatchNorm1d", 4)] if batch_norm else []
    dropped: list[Layer] = [("Dropout", dropout)] if dropout else []
    return (
        *(("Unflatten", 1, 8, 8), ("Conv2d", 1, 2, 3, 1, 1), *norms[0], _A, (pool, 2)),
        *(("Conv2d", 2, 3, 3), *norms[1], _A, (pool, 2)),
        *(("Flatten",), ("Linear", 3, 4), *hidden, _A, *dropped, ("Linear", 4, 3)),
    )


_LENET = {"channels": [2, 3], "hidden_sizes": [4], "kernel_size": 3}

NETWORKS: dict[str, Network] = {
    "linear": Network((("Linear", 4, 3),), "linear"),
    "mlp": Network((("Linear", 4, 5), _A, ("Linear", 5, 3)), "mlp", {"hidden_sizes": [5]}),
    "mlp_sigmoid_output": Network(
        (("Linear", 4, 5), _A, ("Linear", 5, 3), (OUTPUT_ACTIVATION,)),
        "mlp",
        {"hidden_sizes": [5]},
        output_activation="sigmoid",
    ),
    "mlp_deep": Network(
        (("Linear", 4, 6), _A, ("Linear", 6, 5), _A, ("Linear", 5, 4), _A, ("Linear", 4, 3)),
        "mlp",
        {"hidden_sizes": [6, 5, 4]},
    ),
    "mlp_dropout": Network(
        (("Linear", 4, 6), _A, ("Dropout", 0.3), ("Linear", 6, 5), _A, ("Dropout", 0.3), ("Linear", 5, 3)),
        "mlp",
        {"hidden_sizes": [6, 5], "dropout": 0.3},
    ),
    "mlp_batch_norm": Network(
        (("Linear", 4, 5), ("BatchNorm1d", 5), _A, ("Linear", 5, 3)),
        "mlp",
        {"hidden_sizes": [5], "batch_norm": True},
    ),
    "mlp_both": Network(
        (("Linear", 4, 5), ("BatchNorm1d", 5), _A, ("Dropout", 0.2), ("Linear", 5, 3)),
        "mlp",
        {"hidden_sizes": [5], "batch_norm": True, "dropout": 0.2},
    ),
    "lenet_max": Network(_lenet("MaxPool2d"), "lenet", {**_LENET, "pooling": "max"}, PIXELS),
    "lenet_avg": Network(_lenet("AvgPool2d"), "lenet", {**_LENET, "pooling": "avg"}, PIXELS),
    "lenet_dropout": Network(_lenet("MaxPool2d", dropout=0.25), "lenet", {**_LENET, "dropout": 0.25}, PIXELS),
    "lenet_batch_norm": Network(
        _lenet("AvgPool2d", batch_norm=True), "lenet", {**_LENET, "pooling": "avg", "batch_norm": True}, PIXELS
    ),
    # 4 channels of 4 x 4 pixels, then 2 of 2 x 2.
    "lenet_channels": Network(
        (("Unflatten", 4, 4, 4), ("Conv2d", 4, 2, 3, 1, 1), _A, ("MaxPool2d", 2), ("Flatten",), ("Linear", 8, 3)),
        "lenet",
        {"channels": [2], "hidden_sizes": [], "kernel_size": 3, "in_channels": 4},
        PIXELS,
    ),
    # Strides, padding and windows that overlap, on images that are not square: 2 x 8 x 4, then 3 x 4 x 2, 3 x 2 x 1.
    "strided": Network(
        (
            *(("Unflatten", 2, 8, 4), ("Conv2d", 2, 3, 3, 2, 1), _A, ("MaxPool2d", 3, 2, 1)),
            *(("Flatten",), ("Linear", 6, 3)),
        ),
        None,
        in_features=PIXELS,
    ),
    # 8, 6, 6, 3 and, with a column left over, 1 pixels a side.
    "overlapping": Network(
        (
            *(("Unflatten", 1, 8, 8), ("Conv2d", 1, 2, 3), ("AvgPool2d", 3, 1, 1), _A),
            *(("Conv2d", 2, 3, 2, 2), ("BatchNorm2d", 3, 1e-3, 0.3), _A, ("AvgPool2d", 2), ("Flatten",)),
            ("Linear", 3, 3),
        ),
        None,
        in_features=PIXELS,
    ),
}
"""Name -> network."""
