"""The trajectories: what ``generate.py`` trains in PyTorch and ``test_trajectories.py`` trains again with nnlab."""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("trajectories.npz")

FEATURES, HIDDEN, CLASSES = 4, 5, 3
SAMPLES, BATCH_SIZE, EPOCHS = 22, 5, 13
STEPS_PER_EPOCH = -(-SAMPLES // BATCH_SIZE)  # the last batch of an epoch has two samples
UPDATES = EPOCHS * STEPS_PER_EPOCH
LR = 0.1
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")

ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
LOSSES = ("cross_entropy", "mse", "quadratic")

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "decay_all": {"weight_decay": 0.02, "decay": "all"},
    "decay_weights": {"weight_decay": 0.02, "decay": "weights"},
    "momentum_decay": {"momentum": 0.9, "weight_decay": 0.02, "decay": "weights"},
    "nesterov_decay": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02, "decay": "all"},
    "lr_inside": {"momentum": 0.9, "velocity": "lr_inside"},
    "lr_inside_decay": {"momentum": 0.9, "weight_decay": 0.02, "decay": "all", "velocity": "lr_inside"},
}
"""Name -> arguments of ``SGD`` besides lr."""

SCHEDULES: dict[str, dict[str, dict[str, float]]] = {
    "constant": {"update": {}, "epoch": {}},
    "cosine": {"update": {"final": 0.1}, "epoch": {}},
    "exponential": {"update": {"gamma": 0.97}, "epoch": {"gamma": 0.85}},
    "inverse": {"update": {"gamma": 0.05, "power": 0.75}, "epoch": {"gamma": 0.3, "power": 0.5}},
    "linear_warmup": {"update": {"warmup": 20, "start": 0.1}, "epoch": {"warmup": 5, "start": 0.3}},
    "step": {"update": {"step_size": 12, "gamma": 0.6}, "epoch": {"step_size": 4, "gamma": 0.3}},
}
"""Name -> what t counts -> arguments."""


class Case(NamedTuple):
    """One run: a component's name for each."""

    activation: str
    loss: str
    optimizer: str
    schedule: str
    per: str


SCHEDULED = [(name, per) for name, settings in SCHEDULES.items() for per in settings]
CASES = [
    Case(activation, loss, optimizer, *scheduled)
    for activation, loss, optimizer, scheduled in itertools.product(ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULED)
]
