"""Optimisers and learning-rate schedules, on NumPy alone."""

from nnlab.optim.schedules import Schedule, per_epoch
from nnlab.optim.sgd import SGD, PerReplica

__all__ = ["SGD", "PerReplica", "Schedule", "per_epoch"]
