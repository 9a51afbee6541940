"""PyTorch as people write it (eager), without the DataLoader: data in tensors, batches by ``index_select``."""

from __future__ import annotations

import itertools
import time
from typing import Any

import torch
from torch.nn import functional

from benchmarks.tasks import Repetition, Task, UnavailableError, arrays

ACTIVATIONS: dict[str, Any] = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}


def prepare(task: Task) -> Repetition:
    """One network; threads: one for each core that the process may use."""
    if task.replicas > 1:
        raise UnavailableError("one network at a time")
    if task.cores is not None:
        torch.set_num_threads(len(task.cores))
    inputs, labels = (torch.from_numpy(array) for array in arrays(task))

    def repetition(epochs: int) -> float:
        network = _network(task)
        optimizer = torch.optim.SGD(network.parameters(), lr=task.lr)
        started = time.perf_counter()
        for _ in range(epochs):
            for x, y in _batches(task, inputs, labels):
                optimizer.zero_grad()
                functional.cross_entropy(network(x), y).backward()
                optimizer.step()
        return time.perf_counter() - started

    return repetition


def _batches(task: Task, inputs: Any, labels: Any) -> Any:
    if task.batch_size is None:
        yield inputs, labels
        return
    for rows in torch.randperm(len(labels)).split(task.batch_size):
        yield inputs.index_select(0, rows), labels.index_select(0, rows)


def _network(task: Task) -> Any:
    activation = ACTIVATIONS[task.activation]
    if task.hidden_sizes is None:
        return torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, 28, 28)),
            *(torch.nn.Conv2d(1, 6, 5, padding=2), activation(), torch.nn.MaxPool2d(2)),
            *(torch.nn.Conv2d(6, 16, 5), activation(), torch.nn.MaxPool2d(2), torch.nn.Flatten()),
            *(torch.nn.Linear(400, 120), activation(), torch.nn.Linear(120, 84), activation()),
            torch.nn.Linear(84, 10),
        )
    pairs = itertools.pairwise(task.sizes)
    layers = [layer for before, after in pairs for layer in (torch.nn.Linear(before, after), activation())]
    return torch.nn.Sequential(*layers[:-1])
