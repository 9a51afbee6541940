"""A stack of R replicas is R lone runs, bit for bit: parameters, optimiser state and every metric."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Batching, Part
from nnlab.nn import MSE, CrossEntropy, Hinge, Loss, Module, Quadratic, Sequential, Tanh, mlp
from nnlab.optim import SGD, Schedule
from nnlab.optim.schedules import constant, cosine, exponential, inverse
from nnlab.training import EpochResult, Plan, train
from tests.nn.activation_cases import CASES

SAMPLES, CLASSES = 60, 4


@dataclass(frozen=True)
class Setup:
    """What the runs of a stack share, and what is drawn for each of them from its own seed."""

    dtype: Literal["float32", "float64"]
    activation: Callable[[], Module]
    loss: Callable[[], Loss]
    features: int
    hidden_sizes: tuple[int, ...]
    train_size: int
    batch_size: int | None
    batching: Batching
    has_momentum: bool
    nesterov: bool
    velocity: Literal["lr_outside", "lr_inside"]
    decay: Literal["weights", "all"] | None
    own_schedules: bool
    own_splits: bool
    standardized: bool
    seed: int


setups = st.builds(
    Setup,
    dtype=st.sampled_from(["float32", "float64"]),
    activation=st.sampled_from([case.make for case in CASES.values()]),
    loss=st.sampled_from([CrossEntropy, lambda: CrossEntropy(label_smoothing=0.1), Quadratic, MSE, Hinge]),
    features=st.sampled_from([1, 2, 3, 13, 64]),
    hidden_sizes=st.lists(st.sampled_from([1, 2, 5, 16, 33]), max_size=3).map(tuple),
    train_size=st.integers(2, 40),
    batch_size=st.none() | st.integers(1, 40),
    batching=st.sampled_from(["reshuffle", "sequential", "wrap"]),
    has_momentum=st.booleans(),
    nesterov=st.booleans(),
    velocity=st.sampled_from(["lr_outside", "lr_inside"]),
    decay=st.sampled_from([None, "weights", "all"]),
    own_schedules=st.booleans(),
    own_splits=st.booleans(),
    standardized=st.booleans(),
    seed=st.integers(0, 2**31),
)


@dataclass
class Own:
    """What one run has to itself."""

    seed: int
    lr: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    rows: NDArray[np.int64]


def own(setup: Setup, replica: int) -> Own:
    rng = np.random.default_rng([setup.seed, replica])
    split = np.random.default_rng([setup.seed, replica if setup.own_splits else 0])
    schedules = [cosine(9, final=0.1), exponential(9, gamma=0.9), inverse(9, gamma=0.1), constant(9)]
    return Own(
        seed=int(rng.integers(2**31)),
        lr=rng.uniform(0.01, 0.1),
        momentum=rng.uniform(0.1, 0.9) if setup.has_momentum else 0.0,
        weight_decay=rng.uniform(0.001, 0.1) if setup.decay else 0.0,
        schedule=schedules[int(rng.integers(4))] if setup.own_schedules else SHARED_SCHEDULE,
        rows=split.permutation(SAMPLES),
    )


SHARED_SCHEDULE = exponential(9, gamma=0.8)


def run(setup: Setup, owns: list[Own]) -> tuple[Sequential, SGD, list[EpochResult]]:
    data = np.random.default_rng(setup.seed)
    x = (data.normal(1, 2, (SAMPLES, setup.features)) / setup.features**0.5).astype(setup.dtype)
    y = data.integers(CLASSES, size=SAMPLES)
    layers = mlp(setup.features, CLASSES, setup.activation, hidden_sizes=list(setup.hidden_sizes))
    network = Sequential(layers, replicas=len(owns), dtype=setup.dtype)
    for replica, each in enumerate(owns):
        draw = [lambda rng, shape: rng.normal(0, 0.5, shape)] * 2
        network.initialize(replica, np.random.default_rng(each.seed), *draw)
    fitted = [x[each.rows[: setup.train_size]] for each in owns]
    mean = np.stack([rows.mean(axis=0) for rows in fitted]) if setup.standardized else None
    std = np.stack([rows.std(axis=0) + 1 for rows in fitted]) if setup.standardized else None
    order = np.stack([each.rows for each in owns])
    training, validation = (
        Part(x, y, CLASSES, rows, mean, std) for rows in np.split(order, [setup.train_size], axis=1)
    )
    shuffling = [np.random.default_rng([each.seed, 1]) for each in owns]
    batch_size = setup.batch_size and min(setup.batch_size, setup.train_size)
    batches = Batches(training, batch_size, setup.batching, shuffling)
    optimizer = SGD(
        network,
        lr=[each.lr for each in owns],
        momentum=[each.momentum for each in owns],
        weight_decay=[each.weight_decay for each in owns],
        nesterov=setup.nesterov and setup.has_momentum,
        decay=setup.decay or "weights",
        velocity=setup.velocity,
    )
    plan = Plan(epochs=3, updates=3 * batches.steps_per_epoch - 1 or None, log_every_updates=2)
    parts = {"val": validation, "train": training}
    schedules = [each.schedule for each in owns]
    return network, optimizer, list(train(network, setup.loss(), optimizer, schedules, batches, plan, parts))


def recorded(results: list[EpochResult], replica: int) -> list[Any]:
    """Everything a stack says of one replica, times apart, as bytes: a NaN is equal to itself and 0 is not -0."""
    return [
        (
            result.epoch,
            result.step,
            {name: v[replica].tobytes() for name, v in result.metrics.items() if not name.startswith("time/")},
            result.failed.get(replica),
            [(update.step, update.loss[replica].tobytes(), update.accuracy[replica]) for update in result.updates],
        )
        for result in results
    ]


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(setup=setups)
@settings(deadline=None, max_examples=40)
def test_a_stack_is_its_lone_runs_bit_for_bit(replicas: int, setup: Setup) -> None:
    owns = [own(setup, replica) for replica in range(replicas)]
    network, optimizer, results = run(setup, owns)
    assume(np.isfinite(network.parameters).all())  # a lone run that diverges ends before its stack does
    for replica in range(replicas):
        lone_network, lone_optimizer, lone_results = run(setup, [owns[replica]])
        assert lone_network.parameters[0].tobytes() == network.parameters[replica].tobytes()
        stacked_state = optimizer.state_dict(replica)
        for name, array in lone_optimizer.state_dict().items():
            assert array.tobytes() == stacked_state[name].tobytes()
        assert recorded(lone_results, 0) == recorded(results, replica)
    assert results[-1].step > 0


def test_the_same_with_matrices_large_enough_for_blass_blocks_and_threads() -> None:
    """In float32 with odd sizes; the batch is longer than NumPy's internal buffers of 8,192 numbers too."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9001, 65)).astype(np.float32), rng.integers(10, size=9001)

    def train_it(seeds: list[int]) -> tuple[Sequential, list[EpochResult]]:
        network = Sequential(mlp(65, 10, Tanh, hidden_sizes=[131]), replicas=len(seeds))
        for replica, seed in enumerate(seeds):
            network.initialize(
                replica, np.random.default_rng(seed), *[lambda rng, shape: rng.normal(0, 0.1, shape)] * 2
            )
        part = Part(x, y, 10, np.tile(np.arange(9001), (len(seeds), 1)))
        rngs = [np.random.default_rng(seed) for seed in seeds]
        results: list[EpochResult] = []
        for batch_size in (None, 3001):
            batches = Batches(part, batch_size, "reshuffle", rngs)
            optimizer = SGD(network, lr=0.1, momentum=0.9)
            schedules = [SHARED_SCHEDULE] * len(seeds)
            results += train(network, CrossEntropy(), optimizer, schedules, batches, Plan(1), {"val": part})
        return network, results

    network, results = train_it([3, 4, 5])
    for replica, seed in enumerate([3, 4, 5]):
        lone_network, lone_results = train_it([seed])
        assert lone_network.parameters[0].tobytes() == network.parameters[replica].tobytes()
        assert recorded(lone_results, 0) == recorded(results, replica)
