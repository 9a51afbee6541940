"""Optimisers and learning-rate schedules, on NumPy alone."""

from nnlab.optim.adagrad import Adagrad
from nnlab.optim.adam import Adam
from nnlab.optim.adamw import AdamW
from nnlab.optim.optimizer import Optimizer
from nnlab.optim.plateau import ReduceOnPlateau
from nnlab.optim.ranges import PerReplica
from nnlab.optim.rmsprop import RMSprop
from nnlab.optim.schedules import Schedule, per_epoch, warmup
from nnlab.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "PerReplica",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "per_epoch",
    "warmup",
]
