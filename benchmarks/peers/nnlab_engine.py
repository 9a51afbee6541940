"""nnlab by its public functions: what ``nnlab train`` does in an epoch, without evaluation, journal and checkpoints.

Unlike the peers' epochs this one also adds up the training loss and accuracy, because nnlab always does.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import Repetition, Task, arrays
from nnlab import nn
from nnlab.data.batches import Batches, Part
from nnlab.nn.initializers import kaiming_normal, xavier_normal, zeros
from nnlab.nn.sequential import Initializer
from nnlab.optim import SGD
from nnlab.optim.schedules import constant
from nnlab.training import Plan, train

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
INITIALIZERS: dict[str, Initializer] = {"relu": kaiming_normal, "tanh": xavier_normal}


def prepare(task: Task) -> Repetition:
    """Build a stack of ``task.replicas`` networks, each with its own seed and data order."""
    return build(task, *arrays(task))


def build(task: Task, x: NDArray[np.float32], y: NDArray[np.int64]) -> Repetition:
    """The same on data that is there already."""
    network = nn.Sequential(layers(task), replicas=task.replicas, dtype=np.float32)
    classes = int(y.max()) + 1
    part = Part(x, y, classes, np.tile(np.arange(len(x)), (task.replicas, 1)))
    rngs = [np.random.default_rng(seed) for seed in range(task.replicas)]
    batches = Batches(part, task.batch_size, "reshuffle", rngs)
    loss, optimizer = nn.CrossEntropy(), SGD(network, lr=task.lr)
    schedules = [constant(1)] * task.replicas

    def repetition(epochs: int) -> float:
        for replica, rng in enumerate(rngs):
            network.initialize(replica, rng, INITIALIZERS[task.activation], zeros)
        started = time.perf_counter()
        for _ in train(network, loss, optimizer, schedules, batches, Plan(epochs), evaluated={}):
            pass
        return time.perf_counter() - started

    return repetition


def layers(task: Task) -> list[nn.Module]:
    """Return the layers of the task's network."""
    activation = ACTIVATIONS[task.activation]
    if task.hidden_sizes is not None:
        return nn.mlp(task.sizes[0], task.sizes[-1], activation, hidden_sizes=list(task.hidden_sizes))
    return nn.lenet(784, 10, activation, channels=[6, 16], hidden_sizes=[120, 84])
