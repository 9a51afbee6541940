"""The training algorithms of S0 to S4 one sample at a time, float64, from the sources' formulas and nothing of nnlab.

z[l] = W[l] a[l-1] + b[l], a[l] = f(z[l]), delta[l] = dC/dz[l]; the gradient of a sample's C is the outer product of
delta[l] and a[l-1] for W[l], ``[out, in]``, and delta[l] for b[l]. Each system's function takes the initial network,
inputs ``[n, features]``, labels ``[n]`` and the batches, one array of rows an update; it returns the network at the end
and leaves the given one as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
Batches = Iterable[NDArray[np.integer[Any]]]


class Network(NamedTuple):
    """One array a layer; also what is shaped like a network: a gradient, a velocity."""

    weights: list[Array]
    biases: list[Array]

    def copy(self) -> Network:
        return Network([w.copy() for w in self.weights], [b.copy() for b in self.biases])

    def zeros(self) -> Network:
        return Network([np.zeros_like(w) for w in self.weights], [np.zeros_like(b) for b in self.biases])


# --- activations and their derivatives


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def sigmoid_slope(z: Array) -> Array:
    return sigmoid(z) * (1 - sigmoid(z))


def tanh_slope(z: Array) -> Array:
    return 1 - np.tanh(z) ** 2


def relu(z: Array) -> Array:
    return np.where(z > 0, z, 0.0)


def relu_slope(z: Array) -> Array:
    """1 at 0 too, as S3 and S4 have it."""
    return np.where(z >= 0, 1.0, 0.0)


class Activation(NamedTuple):
    f: Callable[[Array], Array]
    slope: Callable[[Array], Array]


SIGMOID, TANH, RELU = Activation(sigmoid, sigmoid_slope), Activation(np.tanh, tanh_slope), Activation(relu, relu_slope)


# --- delta[L] of one sample, from z[L] and the one-hot target

OutputDelta = Callable[[Array, Array], Array]


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max())
    p: Array = e / e.sum()
    return p


def cross_entropy_delta(z: Array, target: Array) -> Array:
    """C = -log p[label]."""
    return softmax(z) - target


def quadratic_delta(z: Array, target: Array) -> Array:
    """C = 1/2 sum (z - y)^2, on the raw outputs."""
    return z - target


def sigmoid_quadratic_delta(z: Array, target: Array) -> Array:
    """C = 1/2 sum (sigmoid(z) - y)^2."""
    return (sigmoid(z) - target) * sigmoid_slope(z)


# --- forward, backward, and the sum over a batch


def forward(network: Network, x: Array, hidden: Activation) -> tuple[list[Array], list[Array]]:
    """z of layers 1 to L, and a of layers 0 to L - 1."""
    z, a = list[Array](), [x]
    for w, b in zip(network.weights, network.biases, strict=True):
        z.append(w @ a[-1] + b)
        a.append(hidden.f(z[-1]))
    return z, a[:-1]


def gradient_of_sum(
    network: Network, x: Array, y: Labels, rows: Iterable[int], hidden: Activation, output_delta: OutputDelta
) -> Network:
    """The gradient of the sum of C over some samples."""
    total = network.zeros()
    classes = np.arange(len(network.biases[-1]))
    for row in rows:
        z, a = forward(network, x[row], hidden)
        delta = output_delta(z[-1], np.where(classes == y[row], 1.0, 0.0))
        for layer in range(len(z) - 1, -1, -1):
            total.weights[layer][...] += np.outer(delta, a[layer])
            total.biases[layer][...] += delta
            if layer:
                delta = (network.weights[layer].T @ delta) * hidden.slope(z[layer - 1])
    return total


def descend(network: Network, gradient: Network, lr: float) -> None:
    """W = W - lr dC/dW, and the same for b."""
    for layer in range(len(network.weights)):
        network.weights[layer][...] -= lr * gradient.weights[layer]
        network.biases[layer][...] -= lr * gradient.biases[layer]


# --- the systems


def s0(network: Network, x: Array, y: Labels, batches: Batches) -> Network:
    """Sigmoid everywhere, quadratic loss, SGD on the batch's mean with lr 1."""
    network = network.copy()
    for rows in batches:
        gradient = gradient_of_sum(network, x, y, rows, SIGMOID, sigmoid_quadratic_delta)
        descend(network, gradient, 1.0 / len(rows))
    return network


def s1(network: Network, x: Array, y: Labels, batches: Batches) -> Network:
    """tanh, softmax, mean cross-entropy, lr 0.07."""
    network = network.copy()
    for rows in batches:
        gradient = gradient_of_sum(network, x, y, rows, TANH, cross_entropy_delta)
        descend(network, gradient, 0.07 / len(rows))
    return network


S2_LAMBDA = 0.01


def s2(network: Network, x: Array, y: Labels, batches: Batches) -> tuple[Network, list[float]]:
    """tanh, softmax, cross-entropy's sum + lambda/2 |W|^2, lr 0.01; also the objective printed after each update."""
    network, printed = network.copy(), []
    for rows in batches:
        gradient = gradient_of_sum(network, x, y, rows, TANH, cross_entropy_delta)
        for layer, w in enumerate(network.weights):
            gradient.weights[layer][...] += S2_LAMBDA * w
        descend(network, gradient, 0.01)
        printed.append(s2_objective(network, x, y))
    return network, printed


def s2_objective(network: Network, x: Array, y: Labels) -> float:
    """The objective over the number of points, as S2 prints it."""
    objective = S2_LAMBDA / 2 * sum(float(np.sum(w**2)) for w in network.weights)
    for row in range(len(x)):
        z, _ = forward(network, x[row], TANH)
        objective -= float(np.log(softmax(z[-1])[y[row]]))
    return objective / len(x)


def s3(network: Network, x: Array, y: Labels, batches: Batches) -> tuple[Network, list[float]]:
    """tanh, softmax, mean cross-entropy, `inv` schedule, lr inside the velocity; also each update's training error."""
    network, velocity, errors = network.copy(), network.zeros(), []
    for t, rows in enumerate(batches):
        wrong = [int(np.argmax(forward(network, x[row], TANH)[0][-1]) != y[row]) for row in rows]
        errors.append(sum(wrong) / len(wrong))
        lr = 0.1 * (1 + 0.0005 * t) ** -0.75
        gradient = gradient_of_sum(network, x, y, rows, TANH, cross_entropy_delta)
        for layer, w in enumerate(network.weights):
            decayed = gradient.weights[layer] / len(rows) + 0.001 * w
            velocity.weights[layer][...] = 0.9 * velocity.weights[layer] + lr * decayed
            velocity.biases[layer][...] = 0.9 * velocity.biases[layer] + lr * gradient.biases[layer] / len(rows)
        descend(network, velocity, 1.0)
    return network, errors


def s4(
    network: Network, x: Array, y: Labels, batches: Batches, output_delta: OutputDelta, *, lr: float, penalty: float
) -> Network:
    """relu, either loss as a mean, and L2: (lambda/B) w, lambda = ``penalty``, is added to the weights' gradient."""
    network = network.copy()
    for rows in batches:
        gradient = gradient_of_sum(network, x, y, rows, RELU, output_delta)
        for layer, w in enumerate(network.weights):
            gradient.weights[layer][...] = (gradient.weights[layer] + penalty * w) / len(rows)
            gradient.biases[layer][...] /= len(rows)
        descend(network, gradient, lr)
    return network
