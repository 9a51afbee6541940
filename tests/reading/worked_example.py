"""S2a's worked example, number by number: 2 inputs, 2 hidden units h1 and h2, 2 outputs o1 and o2.

w1 and w2 lead from the inputs i1 and i2 to h1, w3 and w4 to h2; w5 and w6 from h1 and h2 to o1, w7 and w8 to o2. Each
layer has one bias for both of its units. All units are sigmoids; the softmax is taken of the sigmoids' outputs, and the
cost is the cross-entropy, or the quadratic cost of the outputs themselves. The numbers are our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from tests.reading.reference import sigmoid

I1, I2 = 0.8, 0.3
Y1, Y2 = 1, 0
RATE = 0.5
H = 1e-5

Parameters = dict[str, float]
HIDDEN: Parameters = {"w1": 0.2, "w2": -0.4, "w3": 0.5, "w4": 0.1, "b1": 0.1}
OUTPUT: Parameters = {"w5": 0.3, "w6": -0.6, "w7": 0.8, "w8": 0.4, "b2": -0.2}
START = HIDDEN | OUTPUT


class Units(NamedTuple):
    """What each unit puts out, and the softmax of the last two."""

    h1: float
    h2: float
    o1: float
    o2: float
    p1: float
    p2: float


def forward(w: Parameters) -> Units:
    h1 = sigmoid(w["w1"] * I1 + w["w2"] * I2 + w["b1"])
    h2 = sigmoid(w["w3"] * I1 + w["w4"] * I2 + w["b1"])
    o1 = sigmoid(w["w5"] * h1 + w["w6"] * h2 + w["b2"])
    o2 = sigmoid(w["w7"] * h1 + w["w8"] * h2 + w["b2"])
    p1 = math.exp(o1) / (math.exp(o1) + math.exp(o2))
    p2 = math.exp(o2) / (math.exp(o1) + math.exp(o2))
    return Units(h1, h2, o1, o2, p1, p2)


def cross_entropy(w: Parameters) -> float:
    u = forward(w)
    return -(Y1 * math.log(u.p1) + Y2 * math.log(u.p2))


def quadratic(w: Parameters) -> float:
    u = forward(w)
    return ((u.o1 - Y1) ** 2 + (u.o2 - Y2) ** 2) / 2


def printed_w1(w: Parameters) -> float:
    """dC/dw1 as the article prints it, with both slips."""
    u = forward(w)
    return (u.o1 - 1) * u.o1 * (1 - u.o1) * w["w5"] * u.h1 * (1 - u.h1) * I1


def first_slip_mended_w1(w: Parameters) -> float:
    """The softmax's probability in its place, the path through o2 still left out."""
    u = forward(w)
    return (u.p1 - 1) * u.o1 * (1 - u.o1) * w["w5"] * u.h1 * (1 - u.h1) * I1


def gradient(w: Parameters, error_o1: float, error_o2: float) -> Parameters:
    """dC/dw for each w and each bias, from dC/do1 and dC/do2."""
    u = forward(w)
    delta_o1 = error_o1 * u.o1 * (1 - u.o1)
    delta_o2 = error_o2 * u.o2 * (1 - u.o2)
    delta_h1 = (delta_o1 * w["w5"] + delta_o2 * w["w7"]) * u.h1 * (1 - u.h1)
    delta_h2 = (delta_o1 * w["w6"] + delta_o2 * w["w8"]) * u.h2 * (1 - u.h2)
    return {
        "w1": delta_h1 * I1,
        "w2": delta_h1 * I2,
        "w3": delta_h2 * I1,
        "w4": delta_h2 * I2,
        "b1": delta_h1 + delta_h2,
        "w5": delta_o1 * u.h1,
        "w6": delta_o1 * u.h2,
        "w7": delta_o2 * u.h1,
        "w8": delta_o2 * u.h2,
        "b2": delta_o1 + delta_o2,
    }


def cross_entropy_gradient(w: Parameters) -> Parameters:
    u = forward(w)
    return gradient(w, u.p1 - Y1, u.p2 - Y2)


def quadratic_gradient(w: Parameters) -> Parameters:
    u = forward(w)
    return gradient(w, u.o1 - Y1, u.o2 - Y2)


def central_difference(cost: Callable[[Parameters], float], w: Parameters, name: str) -> float:
    above, below = {**w, name: w[name] + H}, {**w, name: w[name] - H}
    return (cost(above) - cost(below)) / (2 * H)


def updated(w: Parameters, dC_dw: Parameters) -> Parameters:
    return {name: w[name] - RATE * dC_dw[name] for name in w}
