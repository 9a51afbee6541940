"""Every number that docs/reading.md shows, by the name it stands under there.

In the text that is the name in backticks before the number, `` `i1` = 0.8 ``; in a table, row and column.
"""

from __future__ import annotations

from tests.reading import reference
from tests.reading import worked_example as example
from tests.reading.reference import Parameters
from tests.reading.worked_example import START


def numbers() -> dict[str, float]:
    return _settings() | _forward() | _w1() | _update() | _momentum()


def _settings() -> dict[str, float]:
    return {
        "i1": example.I1,
        "i2": example.I2,
        "r": example.RATE,
        "lr of the sum": 0.01,
        "lr of the mean": 0.01 * 200,
        "momentum": MOMENTUM,
        "first lr": LRS[0],
        "second lr": LRS[1],
        "u, 784 to 50": reference.xavier_bound(784, 50),
        "multiplier, t = 799": reference.inv(799, gamma=0.0005, power=0.75),
    }


def _forward() -> dict[str, float]:
    u = example.forward(START)
    units = {"out_h1": u.h1, "out_h2": u.h2, "out_o1": u.o1, "out_o2": u.o2, "p1": u.p1, "p2": u.p2}
    cost = example.cross_entropy(START)
    return {f"value, {unit}": number for unit, number in units.items()} | {"value, C": cost, "C": cost}


def _w1() -> dict[str, float]:
    ways = {
        "as printed": example.printed_w1(START),
        "with p1, one path": example.first_slip_mended_w1(START),
        "with p1, both paths": example.cross_entropy_gradient(START)["w1"],
        "central difference": example.central_difference(example.cross_entropy, START, "w1"),
    }
    shown = {"dC/dw1, quadratic": example.quadratic_gradient(START)["w1"]}
    for way, derivative in ways.items():
        shown[f"{way}, dC/dw1"] = derivative
        shown[f"{way}, C after"] = example.cross_entropy(START | {"w1": START["w1"] - example.RATE * derivative})
    return shown


def _update() -> dict[str, float]:
    gradient = example.cross_entropy_gradient(START)
    updated = example.updated(START, gradient)
    shown = {"C updated": example.cross_entropy(updated)}
    for name, start in START.items():
        shown[f"{name}, start"] = start
        shown[f"{name}, derivative"] = gradient[name]
        shown[f"{name}, central difference"] = example.central_difference(example.cross_entropy, START, name)
        shown[f"{name}, updated"] = updated[name]
    return shown


MOMENTUM, LRS = 0.9, (0.1, 0.01)


def _momentum() -> dict[str, float]:
    """One weight from 0, its gradient 1 in both updates."""
    shown = {}
    for name, update in (
        ("lr_inside", reference.momentum_lr_inside),
        ("lr_outside", reference.momentum_lr_outside),
    ):
        w, g, v = (Parameters({1: [[number]]}, {}) for number in (0.0, 1.0, 0.0))
        for t, lr in enumerate(LRS, 1):
            update(w, g, v, lr, MOMENTUM)
            shown[f"{name}, update {t}"] = w.W[1][0][0]
    return shown
