"""S2a's worked example: its derivatives against central differences, and the engine against both."""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from nnlab.nn import CrossEntropy, Linear, Sequential, Sigmoid
from nnlab.nn.module import Array
from nnlab.optim import SGD
from tests.nn.numeric import central_differences
from tests.reading import engine
from tests.reading import worked_example as example
from tests.reading.worked_example import START


def test_the_worked_examples_derivatives_are_the_central_differences() -> None:
    for cost, gradient in (
        (example.cross_entropy, example.cross_entropy_gradient(START)),
        (example.quadratic, example.quadratic_gradient(START)),
    ):
        for name in START:
            assert gradient[name] == pytest.approx(example.central_difference(cost, START, name), abs=1e-10)


def test_the_printed_derivative_is_none_of_them_and_points_the_wrong_way() -> None:
    printed, right = example.printed_w1(START), example.cross_entropy_gradient(START)["w1"]
    assert printed < 0 < right
    assert not math.isclose(printed, example.first_slip_mended_w1(START), rel_tol=0.01)
    assert not math.isclose(printed, example.quadratic_gradient(START)["w1"], rel_tol=0.01)
    start = example.cross_entropy(START)
    assert example.cross_entropy(START | {"w1": START["w1"] - example.RATE * printed}) > start
    assert example.cross_entropy(START | {"w1": START["w1"] - example.RATE * right}) < start


class WorkedExample:
    """S2a in the engine: both units of a layer start with its bias, and the sum of their derivatives is the bias's."""

    NAMES = (("w1", "w2", "w3", "w4"), ("b1",), ("w5", "w6", "w7", "w8"), ("b2",))

    def __init__(self) -> None:
        self.network = Sequential([Linear(2, 2), Sigmoid(), Linear(2, 2), Sigmoid()], dtype=np.float64)
        self.loss = CrossEntropy()
        for names, array in zip(self.NAMES, self.network.state_dict().values(), strict=True):
            np.copyto(array.reshape(-1), [START[name] for name in names])  # a lone number goes to both units
        self.x, self.y = engine.batch([([example.I1, example.I2], [float(example.Y1), float(example.Y2)])])

    def cost(self) -> float:
        return float(self.loss.forward(self.network.forward(self.x), self.y)[0])

    def backward(self) -> dict[str, Array]:
        self.cost()
        self.network.backward(self.loss.backward())
        gradients = self.network.views(self.network.gradients)
        for name in ("0.bias", "2.bias"):
            gradients[name][...] = gradients[name].sum(axis=1, keepdims=True)
        return gradients

    def by_name(self, arrays: Iterable[Array]) -> dict[str, float]:
        return {
            name: float(number)
            for names, array in zip(self.NAMES, arrays, strict=True)
            for name, number in zip(names, array.flat, strict=False)
        }


def test_the_engine_puts_out_what_the_worked_example_does() -> None:
    run, u = WorkedExample(), example.forward(START)
    assert run.network.forward(run.x).ravel().tolist() == pytest.approx([u.o1, u.o2], rel=1e-12)
    assert run.cost() == pytest.approx(example.cross_entropy(START), rel=1e-12)


def test_the_engines_derivatives_are_the_right_ones_and_not_the_printed() -> None:
    run = WorkedExample()
    gradient = run.by_name(run.backward().values())
    assert gradient == pytest.approx(example.cross_entropy_gradient(START), rel=1e-12)
    assert abs(gradient["w1"] - example.printed_w1(START)) > 0.02
    differences = [central_differences(run.cost, array) for array in run.network.state_dict().values()]
    for place in (1, 3):
        differences[place][:] = differences[place].sum()
    assert gradient == pytest.approx(run.by_name(differences), abs=1e-9)


def test_an_update_keeps_a_layers_bias_one_number() -> None:
    run = WorkedExample()
    run.backward()
    SGD(run.network, lr=example.RATE).step()
    updated = example.updated(START, example.cross_entropy_gradient(START))
    assert run.by_name(run.network.state_dict().values()) == pytest.approx(updated, rel=1e-12)
    for name in ("0.bias", "2.bias"):
        first, second = run.network.state_dict()[name]
        assert first == second
