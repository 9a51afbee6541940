"""The optimisers' formulas, one number after the other, as their papers and PyTorch's documentation write them."""

import math
from collections.abc import Sequence

Result = tuple[float, dict[str, float]]
"""The parameter after the last update, and the optimiser's state by name."""


def adam(
    w: float,
    gradients: Sequence[float],
    lrs: Sequence[float],
    decay: float,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    decoupled: bool,
) -> Result:
    m = v = 0.0
    for t, (raw, lr) in enumerate(zip(gradients, lrs, strict=True), start=1):
        if decoupled:
            w = w - lr * decay * w
        g = raw if decoupled else raw + decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return w, {"exp_avg": m, "exp_avg_sq": v}


def rmsprop(
    w: float,
    gradients: Sequence[float],
    lrs: Sequence[float],
    decay: float,
    *,
    alpha: float,
    eps: float,
    momentum: float,
    centered: bool,
) -> Result:
    square = mean = buffer = 0.0
    for raw, lr in zip(gradients, lrs, strict=True):
        g = raw + decay * w
        square = alpha * square + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        variance = max(0.0, square - mean**2) if centered else square
        buffer = momentum * buffer + g / (math.sqrt(variance) + eps)
        w = w - lr * buffer
    return w, {"square_avg": square, "grad_avg": mean, "momentum_buffer": buffer}


def adagrad(
    w: float,
    gradients: Sequence[float],
    lrs: Sequence[float],
    decay: float,
    *,
    lr_decay: float,
    eps: float,
    initial: float,
) -> Result:
    total = initial
    for t, (raw, lr) in enumerate(zip(gradients, lrs, strict=True), start=1):
        g = raw + decay * w
        total = total + g**2
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(total) + eps)
    return w, {"sum": total}
