"""Evaluation: exact loss and accuracy of a stack on whole parts of the data."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from nnlab.data.batches import Part
from nnlab.nn.losses import Loss, count_correct
from nnlab.nn.penalty import Penalty
from nnlab.nn.sequential import Sequential
from nnlab.training.result import Values

diverging = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Divergence is reported, not warned about. Only around functions: around a ``yield`` it would leak to the caller."""


def higher_is_better(metric: str) -> bool:
    """Tell in which direction a metric is good: accuracies up, all others down."""
    return metric.endswith("accuracy")


@diverging
def evaluate(network: Sequential, loss: Loss, part: Part) -> tuple[Values, Values]:
    """Return the exact loss and the accuracy of each replica on a part, ``[replicas]`` each.

    The loss is the mean over the samples, also where the objective is their sum: so parts of different size compare.
    The network is left in evaluation mode.
    """
    network.eval()
    loss_sum, correct = np.zeros(network.replicas), np.zeros(network.replicas)
    for batch in part.chunks():
        outputs = network.forward(batch.x)
        loss_sum += loss.forward(outputs, batch.targets) * loss.samples(batch.size)
        correct += count_correct(outputs, batch.targets, batch.labels)
    return loss_sum / part.size, correct / part.size


@diverging
def evaluate_all(
    network: Sequential, loss: Loss, parts: Mapping[str, Part], penalty: Penalty | None
) -> dict[str, Values]:
    """Return ``<part>/loss`` and ``<part>/accuracy`` of each part, the ``penalty`` and ``time/eval_seconds``."""
    started = time.perf_counter()
    metrics: dict[str, Values] = {}
    for name, part in parts.items():
        metrics[f"{name}/loss"], metrics[f"{name}/accuracy"] = evaluate(network, loss, part)
    if penalty:
        metrics["penalty"] = penalty.forward()
    if metrics:
        metrics["time/eval_seconds"] = np.full(network.replicas, time.perf_counter() - started)
    return metrics
