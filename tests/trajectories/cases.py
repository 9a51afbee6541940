"""The trajectories: what ``generate.py`` trains in PyTorch and ``test_trajectories.py`` trains again with nnlab.

Their whole product would be millions of runs. So: every pair of components that meet in one formula (an activation and
a loss, a loss and its reduction and a penalty, an optimiser's setting and a schedule, or a warm-up, or clipping), and
every component of one group with the defaults of all others, for each kind of network.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.trajectories.networks import ACTIVATION, NETWORKS

FILE = Path(__file__).with_name("trajectories.npz")

SAMPLES, BATCH_SIZE, EPOCHS = 23, 5, 12
STEPS_PER_EPOCH = -(-SAMPLES // BATCH_SIZE)  # the last batch of an epoch has three samples
UPDATES = EPOCHS * STEPS_PER_EPOCH
DROPOUT_SEED, AUGMENTATION_SEED = 77, 78


class Case(NamedTuple):
    """One run: a name for each of its parts."""

    network: str = "mlp"
    activation: str = "tanh"
    loss: str = "cross_entropy"
    penalty: str = "none"
    optimizer: str = "momentum"
    clipping: str = "none"
    schedule: str = "constant"
    per: str = "update"
    warmup: str = "none"
    augmentation: str = "none"


class Setting(NamedTuple):
    """A choice of ``conf/`` and the arguments it gets."""

    choice: str
    arguments: dict[str, Any]


ACTIVATIONS: dict[str, Setting] = {
    "elu": Setting("elu", {}),
    "elu_2": Setting("elu", {"alpha": 2.0}),
    "gelu": Setting("gelu", {}),
    "gelu_tanh": Setting("gelu", {"approximate": "tanh"}),
    "identity": Setting("identity", {}),
    "leaky_relu": Setting("leaky_relu", {}),
    "leaky_relu_0.3": Setting("leaky_relu", {"negative_slope": 0.3}),
    "relu": Setting("relu", {}),
    "selu": Setting("selu", {}),
    "sigmoid": Setting("sigmoid", {}),
    "silu": Setting("silu", {}),
    "softplus": Setting("softplus", {}),
    "softplus_3": Setting("softplus", {"beta": 3.0}),
    "tanh": Setting("tanh", {}),
}

LOSSES: dict[str, Setting] = {
    "cross_entropy": Setting("cross_entropy", {}),
    "cross_entropy_sum": Setting("cross_entropy", {"reduction": "sum"}),
    "smoothed": Setting("cross_entropy", {"label_smoothing": 0.1}),
    "smoothed_sum": Setting("cross_entropy", {"label_smoothing": 0.3, "reduction": "sum"}),
    "mse": Setting("mse", {}),
    "mse_sum": Setting("mse", {"reduction": "sum"}),
    "quadratic": Setting("quadratic", {}),
    "quadratic_sum": Setting("quadratic", {"reduction": "sum"}),
    "hinge": Setting("hinge", {}),
    "hinge_sum": Setting("hinge", {"reduction": "sum"}),
    "hinge_margin": Setting("hinge", {"margin": 0.4}),
}

PENALTIES: dict[str, dict[str, float]] = {
    "none": {},
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.03},
    "both": {"l1": 0.007, "l2": 0.02},
}

# An eps as large as this is felt; and where a gradient is 0 but for rounding, it isn't blown up to a step.
_ADAM, _EPS = {"lr": 0.02, "eps": 1e-4}, {"lr": 0.01, "eps": 1e-4}

OPTIMIZERS: dict[str, Setting] = {
    "plain": Setting("sgd", {"lr": 0.1}),
    "momentum": Setting("sgd", {"lr": 0.05, "momentum": 0.8}),
    "nesterov": Setting("sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    "decay_all": Setting("sgd", {"lr": 0.1, "weight_decay": 0.02, "decay": "all"}),
    "decay_weights": Setting("sgd", {"lr": 0.1, "weight_decay": 0.02, "decay": "weights"}),
    "momentum_decay": Setting("sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02, "decay": "weights"}),
    "nesterov_decay": Setting(
        "sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02, "decay": "all"}
    ),
    "lr_inside": Setting("sgd", {"lr": 0.05, "momentum": 0.9, "velocity": "lr_inside"}),
    "lr_inside_decay": Setting(
        "sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02, "decay": "all", "velocity": "lr_inside"}
    ),
    "adam": Setting("adam", _ADAM),
    "adam_betas": Setting("adam", {**_ADAM, "beta1": 0.7, "beta2": 0.95}),
    "adam_decay": Setting("adam", {**_ADAM, "weight_decay": 0.02, "decay": "all"}),
    "adam_decay_weights": Setting("adam", {**_ADAM, "weight_decay": 0.02, "decay": "weights"}),
    "adamw": Setting("adamw", {**_ADAM, "weight_decay": 0.1, "decay": "all"}),
    "adamw_weights": Setting("adamw", {**_ADAM, "weight_decay": 0.1, "decay": "weights", "beta1": 0.8, "beta2": 0.95}),
    "rmsprop": Setting("rmsprop", _EPS),
    "rmsprop_centered": Setting("rmsprop", {**_EPS, "alpha": 0.9, "centered": True}),
    "rmsprop_momentum": Setting("rmsprop", {**_EPS, "momentum": 0.6, "weight_decay": 0.02, "decay": "all"}),
    "rmsprop_all": Setting(
        "rmsprop", {**_EPS, "momentum": 0.6, "centered": True, "weight_decay": 0.02, "decay": "weights"}
    ),
    "adagrad": Setting("adagrad", {"lr": 0.1, "eps": 1e-4}),
    "adagrad_decay": Setting("adagrad", {"lr": 0.1, "eps": 1e-4, "weight_decay": 0.02, "decay": "all"}),
    "adagrad_all": Setting(
        "adagrad",
        {"lr": 0.1, "eps": 1e-2, "lr_decay": 0.02, "initial_accumulator_value": 0.1, "weight_decay": 0.02},
    ),
}
BASE_OPTIMIZERS = ("plain", "adam", "adamw", "rmsprop_centered", "adagrad_all")

CLIPPING: dict[str, dict[str, float]] = {
    "none": {},
    "value": {"clip_value": 0.05},
    "norm": {"clip_norm": 0.15},
    "both": {"clip_value": 0.08, "clip_norm": 0.2},
}

SCHEDULES: dict[str, dict[str, dict[str, Any]]] = {
    "constant": {"update": {}, "epoch": {}},
    "cosine": {"update": {"final": 0.1}, "epoch": {}},
    "exponential": {"update": {"gamma": 0.97}, "epoch": {"gamma": 0.85}},
    "inverse": {"update": {"gamma": 0.05, "power": 0.75}, "epoch": {"gamma": 0.3, "power": 0.5}},
    "linear_warmup": {"update": {}, "epoch": {}},
    "one_cycle": {
        "update": {"pct_start": 0.4, "div_factor": 8.0, "final_div_factor": 50.0},
        "epoch": {"div_factor": 4.0, "final_div_factor": 10.0, "anneal": "linear"},
    },
    "piecewise": {
        "update": {"milestones": [11, 30, 31], "multipliers": [1.0, 0.5, 0.25, 0.125]},
        "epoch": {"milestones": [3, 7], "multipliers": [1.0, 0.3, 0.09]},
    },
    "polynomial": {"update": {"power": 1.5}, "epoch": {"final": 0.2}},
    "reduce_on_plateau": {
        "update": {"factor": 0.3, "patience": 0, "threshold": 0.15, "minimum": 0.05},
        "epoch": {"factor": 0.5, "patience": 1, "threshold": 0.2, "cooldown": 1, "monitor": "val/accuracy"},
    },
    "step": {"update": {"step_size": 12, "gamma": 0.6}, "epoch": {"step_size": 4, "gamma": 0.3}},
}
"""Name -> what t counts -> arguments."""

WARMUPS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {"update": {}, "epoch": {}},
    "rise": {"update": {"warmup": 17, "start": 0.1}, "epoch": {"warmup": 4, "start": 0.3}},
    "long": {"update": {"warmup": 40, "start": 0.2}, "epoch": {"warmup": 7, "start": 0.1}},
}
"""Name -> what t counts -> arguments of ``warmup``."""

AUGMENTATIONS: dict[str, Setting] = {
    "none": Setting("none", {}),
    "shift_rotate": Setting("shift_rotate", {"max_shift": 1.5, "max_rotation": 20.0}),
    "shift": Setting("shift_rotate", {"max_shift": 2.0, "max_rotation": 0.0}),
}
IMAGE_SHAPE = (1, 8, 8)


def scheduled() -> Iterator[dict[str, str]]:
    """Yield every schedule, by update and by epoch, with and without a warm-up; linear_warmup is nothing else."""
    for schedule, per in itertools.product(SCHEDULES, ("update", "epoch")):
        for warmup in ("long",) if schedule == "linear_warmup" else ("none", "rise"):
            if (schedule, per, warmup) != ("constant", "epoch", "none"):  # what it counts makes no difference
                yield {"schedule": schedule, "per": per, "warmup": warmup}


def _all_cases() -> Iterator[Case]:
    for activation, loss in itertools.product(ACTIVATIONS, LOSSES):
        yield Case(activation=activation, loss=loss)
    for activation, optimizer in itertools.product(ACTIVATIONS, BASE_OPTIMIZERS):
        yield Case(activation=activation, optimizer=optimizer)
    for loss, penalty, clipping in itertools.product(LOSSES, PENALTIES, ("none", "norm")):
        yield Case(loss=loss, penalty=penalty, clipping=clipping)
    for loss, optimizer in itertools.product(LOSSES, BASE_OPTIMIZERS):
        yield Case(loss=loss, optimizer=optimizer)
    for optimizer, schedule in itertools.product(OPTIMIZERS, scheduled()):
        yield Case(optimizer=optimizer, **schedule)
    for optimizer, clipping in itertools.product(OPTIMIZERS, CLIPPING):
        yield Case(optimizer=optimizer, clipping=clipping)
    for network, description in NETWORKS.items():
        if (ACTIVATION,) in description.layers:
            yield from (Case(network, name) for name, setting in ACTIVATIONS.items() if not setting.arguments)
        yield from (Case(network, loss=name) for name, setting in LOSSES.items() if not setting.arguments)
        yield from (Case(network, optimizer=optimizer) for optimizer in BASE_OPTIMIZERS)
        yield Case(network, penalty="both", optimizer="momentum_decay", clipping="norm")
        yield Case(network, optimizer="adam_decay", schedule="reduce_on_plateau", per="epoch", warmup="rise")
    for network, augmentation in itertools.product(("lenet_max", "lenet_dropout", "lenet_batch_norm"), AUGMENTATIONS):
        yield Case(network, augmentation=augmentation)


CASES = list(dict.fromkeys(_all_cases()))


def lr_of(case: Case) -> float:
    """The learning rate of SGD: with the sum of a batch's losses and no clipping, a fifth of what it is else."""
    is_sum = LOSSES[case.loss].arguments.get("reduction") == "sum" and case.clipping == "none"
    choice, arguments = OPTIMIZERS[case.optimizer]
    lr: float = arguments["lr"] / (BATCH_SIZE if is_sum and choice == "sgd" else 1)
    return lr
