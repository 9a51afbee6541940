"""The engine against the per-sample reference, equation by equation."""

import copy
from collections.abc import Callable

import numpy as np
import pytest

from nnlab.data.batches import Batches, Batching
from nnlab.nn import Linear, Penalty, Sequential
from nnlab.nn.initializers import xavier_uniform
from nnlab.nn.losses import Reduction
from nnlab.nn.module import Array
from nnlab.optim import SGD
from nnlab.optim.schedules import Schedule, constant, inverse
from nnlab.training import Plan, train
from tests.reading import engine, reference
from tests.reading.reference import Activation, Loss, Network, Parameters, Sample

NUMBERS = np.random.default_rng(5)
SAMPLES: list[Sample] = [(NUMBERS.normal(size=3).tolist(), np.eye(2)[n % 2].tolist()) for n in range(7)]


def a_network(hidden: Activation, output: Activation, loss: Loss, depth: int = 2) -> Network:
    """3 inputs, hidden layers of 4 units, 2 outputs; the first hidden unit's z is exactly 0."""
    rng, sizes = np.random.default_rng(9), [3, *[4] * (depth - 1), 2]
    W = {layer: rng.normal(size=(sizes[layer], sizes[layer - 1])).tolist() for layer in range(1, depth + 1)}
    b = {layer: rng.normal(size=sizes[layer]).tolist() for layer in range(1, depth + 1)}
    W[1][0], b[1][0] = [0.0] * 3, 0.0
    return Network(Parameters(W, b), {**dict.fromkeys(range(1, depth), hidden), depth: output}, loss)


CASES: dict[str, Callable[[], Network]] = {
    "S0": lambda: a_network(reference.SIGMOID, reference.SIGMOID, reference.QUADRATIC),
    "S2": lambda: a_network(reference.TANH, reference.IDENTITY, reference.CROSS_ENTROPY),
    "S2a": lambda: a_network(reference.SIGMOID, reference.SIGMOID, reference.CROSS_ENTROPY),
    "S3 and S1": lambda: a_network(reference.TANH, reference.IDENTITY, reference.CROSS_ENTROPY, depth=3),
    "S3, relu": lambda: a_network(reference.RELU_WITH_1_AT_0, reference.IDENTITY, reference.CROSS_ENTROPY, depth=3),
    "S4": lambda: a_network(reference.RELU_WITH_1_AT_0, reference.IDENTITY, reference.QUADRATIC, depth=3),
    "relu as in PyTorch": lambda: a_network(reference.RELU, reference.IDENTITY, reference.CROSS_ENTROPY),
}


def assert_same(made: Sequential, flat: Array, expected: Parameters) -> None:
    for mine, theirs in zip(engine.numbers(made, flat).rows(), expected.rows(), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_z_and_a_of_every_layer(case: str) -> None:
    network = CASES[case]()
    current: Array = engine.batch(SAMPLES)[0]
    z_engine, a_engine = list[Array](), list[Array]()
    for module in engine.sequential(network).layers:
        current = module.forward(current)
        (z_engine if isinstance(module, Linear) else a_engine).append(current[0].T.copy())
    for n, (inputs, _) in enumerate(SAMPLES):
        z, a = reference.forward(network, inputs)
        for layer, values in enumerate(z_engine, 1):
            assert values[n].tolist() == pytest.approx(z[layer], rel=1e-12, abs=1e-13)
        for layer, values in enumerate(a_engine, 1):
            assert values[n].tolist() == pytest.approx(a[layer], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_the_loss_and_delta_of_every_layer(case: str) -> None:
    """With the mean as reduction each sample's delta is divided by the batch size, already in the loss."""
    network = CASES[case]()
    made, loss = engine.sequential(network), engine.loss(network)
    x, y = engine.batch(SAMPLES)
    value = loss.forward(made.forward(x), y)[0]
    assert value == pytest.approx(reference.cost(network, SAMPLES, divide_by=len(SAMPLES)), rel=1e-12)
    grad, delta_engine = loss.backward(), list[Array]()
    for module in reversed(made.layers):
        if isinstance(module, Linear):
            delta_engine.append(grad[0].T * len(SAMPLES))
        through = module.backward(grad)
        assert through is not None
        grad = through
    for n, (inputs, target) in enumerate(SAMPLES):
        delta = reference.deltas(network, *reference.forward(network, inputs), target)
        for layer, values in enumerate(reversed(delta_engine), 1):
            assert values[n].tolist() == pytest.approx(delta[layer], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_a_batch_as_a_mean_and_as_a_sum(case: str) -> None:
    network = CASES[case]()
    made, (x, y) = engine.sequential(network), engine.batch(SAMPLES)
    for loss, divide_by in ((engine.loss(network, "mean"), len(SAMPLES)), (engine.loss(network, "sum"), 1)):
        loss.forward(made.forward(x), y)
        made.backward(loss.backward())
        assert_same(made, made.gradients, reference.batch_gradient(network, SAMPLES, divide_by=divide_by))


def test_the_two_derivatives_of_relu_at_0_differ_in_these_cases() -> None:
    zero, one = (
        reference.gradient(a_network(hidden, reference.IDENTITY, reference.CROSS_ENTROPY), SAMPLES[0])
        for hidden in (reference.RELU, reference.RELU_WITH_1_AT_0)
    )
    assert zero.b[1][0] == 0
    assert one.b[1][0] != 0


class Source:
    """A run by the engine's own loop, of one of the sources' algorithms on a few samples."""

    def __init__(self, case: str) -> None:
        self.network = CASES[case]()
        self.made = engine.sequential(self.network)
        self.parameters = copy.deepcopy(self.network.parameters)
        self.reference = self.network._replace(parameters=self.parameters)

    def train(
        self,
        optimizer: SGD,
        plan: Plan,
        batch_size: int | None,
        *,
        batching: Batching = "reshuffle",
        schedule: Schedule | None = None,
        reduction: Reduction = "mean",
        l2: float = 0.0,
    ) -> None:
        batches = Batches(engine.part(SAMPLES), batch_size, batching, [np.random.default_rng(3)])
        loss, penalty = engine.loss(self.network, reduction), Penalty(self.made, l2=l2)
        list(train(self.made, loss, optimizer, [schedule or constant(1)], batches, plan, {}, penalty=penalty))

    def assert_engine_agrees(self) -> None:
        assert_same(self.made, self.made.parameters, self.parameters)


def test_s0_minibatches_of_the_mean_in_a_new_order_each_epoch() -> None:
    run, order = Source("S0"), np.random.default_rng(3)
    run.train(SGD(run.made, lr=1.0), Plan(epochs=2), 3)
    for _ in range(2):
        shuffled = [SAMPLES[n] for n in order.permutation(len(SAMPLES))]
        for samples in (shuffled[:3], shuffled[3:6], shuffled[6:]):
            gradient = reference.batch_gradient(run.reference, samples, divide_by=len(samples))
            reference.sgd(run.parameters, gradient, lr=1.0)
    run.assert_engine_agrees()


def test_s1_the_full_batch() -> None:
    run = Source("S3 and S1")
    run.train(SGD(run.made, lr=0.07), Plan(epochs=3), None)
    for _ in range(3):
        gradient = reference.batch_gradient(run.reference, SAMPLES, divide_by=len(SAMPLES))
        reference.sgd(run.parameters, gradient, lr=0.07)
    run.assert_engine_agrees()


def test_s2_the_sum_over_the_samples_with_a_penalty() -> None:
    run = Source("S2")
    penalty = Penalty(run.made, l2=0.01).forward()[0]
    assert penalty == pytest.approx(reference.penalty(run.parameters, 0.01), rel=1e-12)
    run.train(SGD(run.made, lr=0.01), Plan(epochs=3), None, reduction="sum", l2=0.01)
    for _ in range(3):
        gradient = reference.batch_gradient(run.reference, SAMPLES, divide_by=1)
        reference.add_l2(run.parameters, gradient, 0.01)
        reference.sgd(run.parameters, gradient, lr=0.01)
    run.assert_engine_agrees()


@pytest.mark.parametrize("velocity", ["lr_inside", "lr_outside"])
@pytest.mark.parametrize("case", ["S3 and S1", "S3, relu"])
def test_s3_momentum_decay_inv_and_batches_that_wrap(case: str, velocity: str) -> None:
    run = Source(case)
    where = {"lr_inside": reference.momentum_lr_inside, "lr_outside": reference.momentum_lr_outside}
    optimizer = SGD(
        run.made,
        lr=0.1,
        momentum=0.9,
        weight_decay=0.001,
        velocity="lr_inside" if velocity == "lr_inside" else "lr_outside",
    )
    schedule = inverse(5, gamma=0.5, power=0.75)  # steeper than S3's, so that five updates feel it
    run.train(optimizer, Plan(epochs=9, updates=5), 3, batching="wrap", schedule=schedule)
    v = run.parameters.zeros()
    for t in range(5):
        samples = [SAMPLES[n] for n in reference.wrapping_batch(t, 3, len(SAMPLES))]
        gradient = reference.batch_gradient(run.reference, samples, divide_by=len(samples))
        reference.add_l2(run.parameters, gradient, 0.001)
        where[velocity](run.parameters, gradient, v, 0.1 * reference.inv(t, 0.5, 0.75), 0.9)
    run.assert_engine_agrees()


def test_s4_a_penalty_of_lambda_by_batch_size() -> None:
    run, order = Source("S4"), np.random.default_rng(3)
    run.train(SGD(run.made, lr=0.1), Plan(epochs=2), len(SAMPLES), l2=0.2 / len(SAMPLES))
    for _ in range(2):
        samples = [SAMPLES[n] for n in order.permutation(len(SAMPLES))]
        gradient = reference.batch_gradient(run.reference, samples, divide_by=len(samples))
        reference.add_l2(run.parameters, gradient, 0.2 / len(SAMPLES))
        reference.sgd(run.parameters, gradient, lr=0.1)
    run.assert_engine_agrees()


def test_inv_is_the_schedule_inverse() -> None:
    schedule = inverse(800, gamma=0.0005, power=0.75)
    assert [schedule(t) for t in range(800)] == pytest.approx([reference.inv(t, 0.0005, 0.75) for t in range(800)])


def test_xavier_fills_its_interval_and_no_more() -> None:
    draw, bound = xavier_uniform(np.random.default_rng(0), (50, 784), count_bias=True), reference.xavier_bound(784, 50)
    assert abs(draw).max() <= bound
    assert draw.max() > 0.999 * bound > -0.999 * bound > draw.min()  # missed with probability 1e-8 by 39,200 draws
