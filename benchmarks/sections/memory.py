"""Memory: the peak of training a stack beside what its parameters, buffers and one batch need."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.peers.nnlab_engine import layers
from benchmarks.report import Section
from benchmarks.tasks import NETWORKS, WINE, Task
from benchmarks.workers import rounds, started
from nnlab import nn
from nnlab.memory import replica_bytes, stack_bytes
from nnlab.optim import SGD


def measure(effort: Effort) -> Section:
    """Measure the peak of stacks of several sizes, one epoch each."""
    section = Section("Memory of a stack")
    section.say(
        "The most that nnlab's arrays take while a stack is built and trained for one epoch (NumPy reports each array",
        "to Python's tracemalloc), the data set excluded: all networks of a stack share it. An epoch is",
        f"one batch of the 178 bottles, or {effort.images:,} images.",
    )
    rows = []
    for network in (replace(WINE, epochs=1), replace(NETWORKS[0], samples=effort.images)):
        for size in effort.memory_stacks:
            task = replace(network, replicas=size, warm_up=0)
            with started((f"memory, stack of {size}", "nnlab_memory", task), cores=cores()[:1]) as workers:
                rounds(workers, 1)
            rows.append([task.title, str(size), _megabytes(workers[0].median), _megabytes(predicted(task))])
    section.table(["network", "stack", "measured peak, MB", "by the formula, MB"], rows)
    return section


def predicted(task: Task) -> float:
    """Return the bytes that ``nnlab.memory`` gives for the task."""
    network, loss = nn.Sequential(layers(task)), nn.CrossEntropy()
    inputs, outputs = task.sizes[0], task.sizes[-1]
    batch_size = task.batch_size or task.samples
    replica = replica_bytes(network, loss, SGD(network, lr=task.lr), inputs, batch_size)
    if task.batch_size is None:  # the one batch is all there is: no order, no labels prepared
        return task.replicas * replica
    return stack_bytes(replica, task.replicas, task.samples, outputs, itemsize=4)


def _megabytes(size: float) -> str:
    return "-" if size != size else f"{size / 1e6:,.2f}"
