"""scikit-learn's MLPClassifier, an epoch a call of ``partial_fit``, in float32."""

from __future__ import annotations

import time

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.tasks import Repetition, Task, UnavailableError, arrays


def prepare(task: Task) -> Repetition:
    """Plain SGD: no momentum, no L2 penalty, constant lr."""
    if task.replicas > 1 or task.hidden_sizes is None:
        raise UnavailableError("one fully connected network at a time")
    x, y = arrays(task)
    classes = np.unique(y)

    def repetition(epochs: int) -> float:
        model = MLPClassifier(
            task.hidden_sizes,
            activation=task.activation,
            solver="sgd",
            alpha=0.0,
            batch_size=task.batch_size or len(x),
            learning_rate="constant",
            learning_rate_init=task.lr,
            shuffle=True,
            momentum=0.0,
            nesterovs_momentum=False,
        )
        started = time.perf_counter()
        for _ in range(epochs):
            model.partial_fit(x, y, classes=classes)
        return time.perf_counter() - started

    return repetition
