"""A stack of R replicas is R lone runs, bit for bit: parameters, optimiser state and every metric, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data.batches import Batches, Part
from nnlab.nn import CrossEntropy, Sequential, Tanh, mlp
from nnlab.optim import SGD
from nnlab.optim.schedules import exponential
from nnlab.training import EpochResult, Plan, train
from tests.nn.stack_runs import Epoch, Setup, run
from tests.trajectories.cases import (
    ACTIVATIONS,
    AUGMENTATIONS,
    CLIPPING,
    LOSSES,
    OPTIMIZERS,
    PENALTIES,
    SCHEDULES,
    WARMUPS,
    Case,
    scheduled,
)
from tests.trajectories.networks import NETWORKS, PIXELS

EVERY: list[Case] = list(
    dict.fromkeys(
        [
            *(Case(activation=name) for name in ACTIVATIONS),
            *(Case(loss=name) for name in LOSSES),
            *(Case(penalty=name) for name in PENALTIES),
            *(Case(optimizer=name) for name in OPTIMIZERS),
            *(Case(optimizer=name, clipping="norm") for name in OPTIMIZERS),
            *(Case(clipping=name) for name in CLIPPING),
            *(Case(**each) for each in scheduled()),
            *(Case(name, "relu") for name in NETWORKS),
            *(Case("lenet_dropout", augmentation=name) for name in AUGMENTATIONS),
        ]
    )
)
"""Every component, with the defaults of the other groups."""


def check(stacked: list[Epoch], lone: list[Epoch]) -> None:
    """A lone run ends when its replica does; what the stack says of it from then on means nothing."""
    assert len(lone) == len(stacked) or lone[-1].has_ended
    for own, among_others in zip(lone, stacked, strict=False):
        assert own == among_others


def name_of(case: Case) -> str:
    return "-".join(name for name, default in zip(case, Case(), strict=True) if name != default) or "defaults"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", EVERY, ids=name_of)
def test_every_component(case: Case, dtype: Any) -> None:
    """Of the 32, some: each lone run is compared with its place in stacks of 2, 7 and 32."""
    setup = Setup(case, dtype)
    lone = {replica: run(setup, [replica])[0] for replica in (0, 1, 6, 31)}
    assert len(lone[0]) > 1
    for replicas in (2, 7, 32):
        stacked = run(setup, list(range(replicas)))
        for replica in (each for each in lone if each < replicas):
            check(stacked[replica], lone[replica])


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    network = draw(st.sampled_from(sorted(NETWORKS)))
    is_images = NETWORKS[network].in_features == PIXELS
    names: dict[str, Iterable[str]] = {
        "activation": ACTIVATIONS,
        "loss": LOSSES,
        "penalty": PENALTIES,
        "optimizer": OPTIMIZERS,
        "clipping": CLIPPING,
        "schedule": SCHEDULES,
        "warmup": WARMUPS,
        "augmentation": AUGMENTATIONS if is_images else ["none"],
    }
    chosen = {group: draw(st.sampled_from(sorted(choices))) for group, choices in names.items()}
    return Setup(
        case=Case(network=network, per=draw(st.sampled_from(["update", "epoch"])), **chosen),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        train_size=draw(st.integers(2, 40)),
        batch_size=draw(st.none() | st.integers(1, 40)),
        batching=draw(st.sampled_from(["reshuffle", "sequential", "wrap"])),
        own_schedules=draw(st.booleans()),
        own_splits=draw(st.booleans()),
        standardized=draw(st.booleans()),
        patience=draw(st.sampled_from([None, 1, 2])),
        seed=draw(st.integers(0, 2**31)),
    )


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(setup=setups())
@settings(deadline=None, max_examples=15)
def test_a_stack_is_its_lone_runs_bit_for_bit(replicas: int, setup: Setup) -> None:
    stacked = run(setup, list(range(replicas)))
    for replica in range(replicas):
        check(stacked[replica], run(setup, [replica])[0])


def test_early_stopping_does_end_replicas_at_different_epochs() -> None:
    """Else the tests above would say nothing about it."""
    lengths = {len(run(Setup(), [replica])[0]) for replica in range(12)}
    assert len(lengths) > 1


def test_the_same_with_matrices_large_enough_for_blass_blocks_and_threads() -> None:
    """In float32 with odd sizes; the batch is longer than NumPy's internal buffers of 8,192 numbers too."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9001, 65)).astype(np.float32), rng.integers(10, size=9001)
    schedule = exponential(9, gamma=0.8)

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
            schedules = [schedule] * len(seeds)
            results += train(network, CrossEntropy(), optimizer, schedules, batches, Plan(1), {"val": part})
        return network, results

    network, results = train_it([3, 4, 5])
    for replica, seed in enumerate([3, 4, 5]):
        lone_network, lone_results = train_it([seed])
        assert lone_network.parameters[0].tobytes() == network.parameters[replica].tobytes()
        for lone, stacked in zip(lone_results, results, strict=True):
            for name in ("val/loss", "val/accuracy", *(["train/loss", "train/accuracy"] if lone.epoch else [])):
                assert lone.metrics[name][0].tobytes() == stacked.metrics[name][replica].tobytes()
