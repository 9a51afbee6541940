"""Neural networks as a textbook writes them: plain numbers, loops, one sample at a time.

docs/reading.md leads through this file beside the engine's. Layers count from 1 to L and a[0] is the input, so W, b, z,
a and delta are dictionaries by layer. W[l][j][k] leads from unit k of layer l - 1 to unit j of layer l. Nothing here is
fast, and nothing needs to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

Vector = list[float]
Matrix = list[Vector]
Sample = tuple[Vector, Vector]
"""Input x and target y."""


# --- activations and their derivatives


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def sigmoid_slope(z: float) -> float:
    return sigmoid(z) * (1 - sigmoid(z))


def tanh_slope(z: float) -> float:
    return 1 - math.tanh(z) ** 2


def relu(z: float) -> float:
    return z if z > 0 else 0.0


def relu_slope(z: float) -> float:
    return 1.0 if z > 0 else 0.0


def relu_slope_with_1_at_0(z: float) -> float:
    return 1.0 if z >= 0 else 0.0


class Activation(NamedTuple):
    f: Callable[[float], float]
    slope: Callable[[float], float]
    """The derivative f'(z)."""


SIGMOID, TANH = Activation(sigmoid, sigmoid_slope), Activation(math.tanh, tanh_slope)
RELU, RELU_WITH_1_AT_0 = Activation(relu, relu_slope), Activation(relu, relu_slope_with_1_at_0)
IDENTITY = Activation(lambda z: z, lambda z: 1.0)


# --- losses of one sample, and dC/da of its outputs


def quadratic(a: Vector, y: Vector) -> float:
    return sum((a[k] - y[k]) ** 2 for k in range(len(a))) / 2


def quadratic_slope(a: Vector, y: Vector) -> Vector:
    return [a[k] - y[k] for k in range(len(a))]


def softmax(s: Vector) -> Vector:
    total = sum(math.exp(s_k) for s_k in s)
    return [math.exp(s_k) / total for s_k in s]


def cross_entropy(s: Vector, y: Vector) -> float:
    p = softmax(s)
    return -sum(y[k] * math.log(p[k]) for k in range(len(s)))


def cross_entropy_slope(s: Vector, y: Vector) -> Vector:
    p = softmax(s)
    return [p[k] - y[k] for k in range(len(s))]


class Loss(NamedTuple):
    value: Callable[[Vector, Vector], float]
    slope: Callable[[Vector, Vector], Vector]


QUADRATIC, CROSS_ENTROPY = Loss(quadratic, quadratic_slope), Loss(cross_entropy, cross_entropy_slope)


# --- the network, forward and backward


class Parameters(NamedTuple):
    """One number for each weight and bias: the parameters themselves, their gradient or their velocity."""

    W: dict[int, Matrix]
    b: dict[int, Vector]

    def weights(self) -> list[Vector]:
        return [row for matrix in self.W.values() for row in matrix]

    def rows(self) -> list[Vector]:
        return self.weights() + list(self.b.values())

    def zeros(self) -> Parameters:
        W = {layer: [[0.0] * len(row) for row in matrix] for layer, matrix in self.W.items()}
        return Parameters(W, {layer: [0.0] * len(b) for layer, b in self.b.items()})


class Network(NamedTuple):
    parameters: Parameters
    activations: dict[int, Activation]
    loss: Loss


def forward(network: Network, x: Vector) -> tuple[dict[int, Vector], dict[int, Vector]]:
    """z[l] and a[l] of every layer."""
    W, b = network.parameters
    z: dict[int, Vector] = {}
    a: dict[int, Vector] = {0: x}
    for layer in W:
        z[layer] = []
        for j in range(len(W[layer])):
            z[layer].append(sum(W[layer][j][k] * a[layer - 1][k] for k in range(len(a[layer - 1]))) + b[layer][j])
        a[layer] = [network.activations[layer].f(z_j) for z_j in z[layer]]
    return z, a


def deltas(network: Network, z: dict[int, Vector], a: dict[int, Vector], y: Vector) -> dict[int, Vector]:
    """delta[l] = dC/dz[l] of every layer, from the last to the first."""
    W, L = network.parameters.W, len(network.parameters.W)
    delta: dict[int, Vector] = {}
    dC_da = network.loss.slope(a[L], y)
    delta[L] = [dC_da[j] * network.activations[L].slope(z[L][j]) for j in range(len(z[L]))]
    for layer in range(L - 1, 0, -1):
        f_slope, after = network.activations[layer].slope, layer + 1
        delta[layer] = []
        for j in range(len(z[layer])):
            back = sum(W[after][k][j] * delta[after][k] for k in range(len(delta[after])))
            delta[layer].append(back * f_slope(z[layer][j]))
    return delta


def gradient(network: Network, sample: Sample) -> Parameters:
    """dC/dW and dC/db of one sample."""
    x, y = sample
    z, a = forward(network, x)
    delta = deltas(network, z, a, y)
    of = network.parameters.zeros()
    for layer in of.W:
        for j in range(len(of.W[layer])):
            of.b[layer][j] = delta[layer][j]
            for k in range(len(of.W[layer][j])):
                of.W[layer][j][k] = delta[layer][j] * a[layer - 1][k]
    return of


def cost(network: Network, samples: Sequence[Sample], *, divide_by: int) -> float:
    """The samples' losses added up; divided by their number it is the mean, by 1 the sum."""
    total = 0.0
    for x, y in samples:
        _, a = forward(network, x)
        total += network.loss.value(a[len(a) - 1], y) / divide_by
    return total


def batch_gradient(network: Network, samples: Sequence[Sample], *, divide_by: int) -> Parameters:
    """The samples' gradients, likewise."""
    total = network.parameters.zeros()
    for sample in samples:
        for row, sample_row in zip(total.rows(), gradient(network, sample).rows(), strict=True):
            for k in range(len(row)):
                row[k] += sample_row[k] / divide_by
    return total


# --- penalty, updates, schedule, batches, initial weights


def penalty(parameters: Parameters, l2: float) -> float:
    return l2 / 2 * sum(w * w for row in parameters.weights() for w in row)


def add_l2(parameters: Parameters, gradient: Parameters, l2: float) -> None:
    """Add l2 w to the gradient of every weight; biases are left alone."""
    for row, g in zip(parameters.weights(), gradient.weights(), strict=True):
        for k in range(len(row)):
            g[k] = g[k] + l2 * row[k]


def sgd(parameters: Parameters, gradient: Parameters, lr: float) -> None:
    for row, g in zip(parameters.rows(), gradient.rows(), strict=True):
        for k in range(len(row)):
            row[k] = row[k] - lr * g[k]


def momentum_lr_inside(
    parameters: Parameters, gradient: Parameters, velocity: Parameters, lr: float, momentum: float
) -> None:
    for row, g, v in zip(parameters.rows(), gradient.rows(), velocity.rows(), strict=True):
        for k in range(len(row)):
            v[k] = momentum * v[k] + lr * g[k]
            row[k] = row[k] - v[k]


def momentum_lr_outside(
    parameters: Parameters, gradient: Parameters, velocity: Parameters, lr: float, momentum: float
) -> None:
    for row, g, v in zip(parameters.rows(), gradient.rows(), velocity.rows(), strict=True):
        for k in range(len(row)):
            v[k] = momentum * v[k] + g[k]
            row[k] = row[k] - lr * v[k]


def inv(t: int, gamma: float, power: float) -> float:
    return math.pow(1 + gamma * t, -power)


def wrapping_batch(t: int, batch_size: int, samples: int) -> list[int]:
    return [(t * batch_size + i) % samples for i in range(batch_size)]


def xavier_bound(fan_in: int, fan_out: int) -> float:
    return math.sqrt(6) / math.sqrt(fan_in + fan_out + 1)
