# ruff: noqa: T201 - printing is what it is for
"""The algorithms of S0, S2 and S3 run as their articles wrote them, for the figures that only a rerun can give.

Mini-batches as rows of a matrix, float64, one network at a time, and nothing of nnlab but the reading of MNIST:

    python -m tests.sources.rerun s0 --seeds 10
    python -m tests.sources.rerun s2
    python -m tests.sources.rerun s3 --seeds 10

The seeds are those of NumPy's legacy generator: with these orders of drawing, S0's seed 0 and S3's seeds 0, 1, 2 give
the figures that stand for "its algorithm run as written".

Weights are lists over the layers of ``[out, in]``, biases of ``[out]``; the training functions change them in place.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
Rows = NDArray[np.integer[Any]]

HIDDEN_SIZES = (1, 2, 3, 4, 5, 20, 50)
"""S2's: 3 is the article's."""
PRINTED_AFTER = (0, 1_000, 5_000, 10_000, 19_000)
"""S2's updates whose objective is printed, counted from 0."""


class Network(NamedTuple):
    """Weights ``[out, in]`` and biases ``[out]`` of each layer."""

    weights: list[Array]
    biases: list[Array]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p: Array = e / e.sum(axis=1, keepdims=True)
    return p


def one_hot(y: Labels, classes: int) -> Array:
    return np.eye(classes)[y]


# --- S0: 784-15-10, all sigmoid, quadratic loss


def s0_network(rng: np.random.RandomState, sizes: tuple[int, ...] = (784, 15, 10)) -> Network:
    """Draw all biases, then all weights, from N(0, 1)."""
    biases = [rng.randn(out) for out in sizes[1:]]
    return Network([rng.randn(out, into) for into, out in itertools.pairwise(sizes)], biases)


def s0_forward(network: Network, x: Array) -> tuple[Array, Array]:
    """Return the activations of both layers."""
    hidden = sigmoid(x @ network.weights[0].T + network.biases[0])
    return hidden, sigmoid(hidden @ network.weights[1].T + network.biases[1])


def s0_train(network: Network, x: Array, y: Labels, batches: Iterable[Rows], lr: float = 1.0) -> None:
    """One update a batch, on its mean: the loss is half the sum of squares."""
    (w1, w2), (b1, b2) = network
    for rows in batches:
        inputs = x[rows]
        hidden, out = s0_forward(network, inputs)
        d2 = (out - one_hot(y[rows], len(b2))) * out * (1 - out)
        d1 = d2 @ w2 * hidden * (1 - hidden)
        step = lr / len(rows)
        w2 -= step * (d2.T @ hidden)
        b2 -= step * d2.sum(axis=0)
        w1 -= step * (d1.T @ inputs)
        b1 -= step * d1.sum(axis=0)


def s0_run(seed: int, x: Array, y: Labels) -> tuple[list[float], float]:
    """Return the test accuracy after each of 5 epochs and the validation accuracy at the end."""
    rng = np.random.RandomState(seed)
    network, curve = s0_network(rng), []

    def accuracy(part: slice) -> float:
        return float(np.mean(s0_forward(network, x[part])[1].argmax(axis=1) == y[part]))

    for _ in range(5):
        s0_train(network, x, y, rng.permutation(50_000).reshape(-1, 5))
        curve.append(accuracy(slice(60_000, 70_000)))
    return curve, accuracy(slice(50_000, 60_000))


# --- S2: 2-h-2, tanh, softmax, summed cross-entropy + lambda/2 |W|^2


def s2_data() -> tuple[Array, Labels]:
    """The article's 200 points."""
    from sklearn.datasets import make_moons  # scikit-learn takes two seconds

    x, y = make_moons(200, noise=0.20, random_state=0)  # the legacy generator
    return x, y


def s2_network(hidden: int) -> Network:
    """The generator seeded 0 again, W1 as [2, hidden] and then W2 as [hidden, 2], over the root of the fan-in."""
    rng = np.random.RandomState(0)
    w1 = rng.randn(2, hidden) / np.sqrt(2)
    w2 = rng.randn(hidden, 2) / np.sqrt(hidden)
    return Network([np.ascontiguousarray(w1.T), np.ascontiguousarray(w2.T)], [np.zeros(hidden), np.zeros(2)])


def s2_objective(network: Network, x: Array, y: Labels, penalty: float = 0.01) -> float:
    """Return what the article prints: the objective divided by the number of points."""
    (w1, w2), (b1, b2) = network
    p = softmax(np.tanh(x @ w1.T + b1) @ w2.T + b2)
    data = -np.log(p[np.arange(len(y)), y]).sum()
    return float((data + penalty / 2 * ((w1**2).sum() + (w2**2).sum())) / len(y))


def s2_train(
    network: Network, x: Array, y: Labels, updates: int, lr: float = 0.01, penalty: float = 0.01
) -> Iterator[float]:
    """Yield the printed objective after each update on the gradient's sum over all points."""
    (w1, w2), (b1, b2) = network
    target = one_hot(y, 2)
    for _ in range(updates):
        hidden = np.tanh(x @ w1.T + b1)
        d2 = softmax(hidden @ w2.T + b2) - target
        d1 = d2 @ w2 * (1 - hidden**2)
        g2, g1 = d2.T @ hidden + penalty * w2, d1.T @ x + penalty * w1
        w2 -= lr * g2
        b2 -= lr * d2.sum(axis=0)
        w1 -= lr * g1
        b1 -= lr * d1.sum(axis=0)
        yield s2_objective(network, x, y, penalty)


# --- S3: 784-50-50-10, tanh, tanh, softmax, momentum and weight decay


def s3_network(rng: np.random.RandomState, sizes: tuple[int, ...] = (784, 50, 50, 10)) -> Network:
    """Draw [in, out] by Xavier's uniform distribution as the article has it, with one more in the root; biases 0."""
    weights = []
    for into, out in itertools.pairwise(sizes):
        bound = np.sqrt(6) / np.sqrt(into + out + 1)
        weights.append(np.ascontiguousarray(rng.uniform(-bound, bound, (into, out)).T))
    return Network(weights, [np.zeros(out) for out in sizes[1:]])


def s3_forward(network: Network, x: Array) -> list[Array]:
    """Return the inputs of each layer, and the probabilities last."""
    a = [x]
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        a.append(np.tanh(a[-1] @ w.T + b))
    return [*a, softmax(a[-1] @ network.weights[-1].T + network.biases[-1])]


def s3_train(network: Network, x: Array, y: Labels, updates: int, batch_size: int = 100) -> Iterator[float]:
    """Yield the training error of each update's batch; the batches wrap round the end of the data."""
    weights, biases = network
    v_w, v_b = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
    for t in range(updates):
        rows = np.arange(t * batch_size, (t + 1) * batch_size) % len(x)
        a = s3_forward(network, x[rows])
        yield float(np.mean(a[-1].argmax(axis=1) != y[rows]))
        lr = 0.1 * (1 + 0.0005 * t) ** -0.75
        delta = (a[-1] - one_hot(y[rows], len(biases[-1]))) / batch_size
        deltas = [delta]
        for layer in range(len(weights) - 1, 0, -1):
            deltas.insert(0, deltas[0] @ weights[layer] * (1 - a[layer] ** 2))
        for layer, delta in enumerate(deltas):
            v_w[layer] = 0.9 * v_w[layer] + lr * (delta.T @ a[layer] + 0.001 * weights[layer])
            v_b[layer] = 0.9 * v_b[layer] + lr * delta.sum(axis=0)
            weights[layer] -= v_w[layer]
            biases[layer] -= v_b[layer]


def s3_run(seed: int, x: Array, y: Labels) -> float:
    """Return the test accuracy after 800 updates."""
    network = s3_network(np.random.RandomState(seed))
    for _ in s3_train(network, x[:60_000], y[:60_000], 800):
        pass
    return float(np.mean(s3_forward(network, x[60_000:])[-1].argmax(axis=1) == y[60_000:]))


# --- the figures


def mnist() -> tuple[Array, Labels]:
    """All 70,000 images, the 10,000 test images last, pixels in [0, 1]."""
    from nnlab.data.mnist import mnist as read

    dataset = read(split="60k-10k")
    return dataset.x / 255.0, dataset.y


def print_s0(seeds: int) -> None:
    x, y = mnist()
    print("S0: seed; test accuracy after epochs 1 to 5; validation accuracy at the end")
    for seed in range(seeds):
        curve, validation = s0_run(seed, x, y)
        print(seed, *(f"{each:.4f}" for each in curve), f"{validation:.4f}", flush=True)


def print_s2(_seeds: int) -> None:
    x, y = s2_data()
    last = PRINTED_AFTER[-1]
    print(
        f"S2: hidden size; printed objective after update {', '.join(map(str, PRINTED_AFTER))}; least and greatest of"
    )
    print("    the 1,000 updates up to the last of them; accuracy on the 200 points after it")
    for hidden in HIDDEN_SIZES:
        network = s2_network(hidden)
        objective = np.array(list(s2_train(network, x, y, last + 1)))
        (w1, w2), (b1, b2) = network
        right = np.mean((np.tanh(x @ w1.T + b1) @ w2.T + b2).argmax(axis=1) == y)
        shown = [*objective[list(PRINTED_AFTER)], objective[-1000:].min(), objective[-1000:].max()]
        print(hidden, *(f"{each:.9f}" for each in shown), f"{right:.3f}", flush=True)


def print_s3(seeds: int) -> None:
    x, y = mnist()
    print("S3: seed; test accuracy after 800 updates")
    for seed in range(seeds):
        print(seed, f"{s3_run(seed, x, y):.4f}", flush=True)


def main() -> None:
    """Print one system's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    systems = {"s0": print_s0, "s2": print_s2, "s3": print_s3}
    parser.add_argument("system", choices=systems)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... (S2 has the article's own)")
    arguments = parser.parse_args()
    systems[arguments.system](arguments.seeds)


if __name__ == "__main__":
    main()
