"""The two implementations of S0, S2 and S3 agree with each other, and with what the sources print."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnlab.data.moons import moons
from tests.sources import rerun, transcription
from tests.sources.transcription import Array, Labels


def samples(n: int, features: int, classes: int) -> tuple[Array, Labels]:
    rng = np.random.default_rng(1)
    return rng.random((n, features)), rng.integers(classes, size=n)


def assert_same(network: rerun.Network, expected: transcription.Network) -> None:
    for one, other in zip(*map(itertools.chain.from_iterable, (network, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


def copied(network: rerun.Network) -> transcription.Network:
    return transcription.Network(*network).copy()


def test_s0() -> None:
    x, y = samples(40, 20, 10)
    network = rerun.s0_network(np.random.RandomState(0), (20, 6, 10))
    before = copied(network)
    batches = [np.random.default_rng(n).permutation(40)[:5] for n in range(60)]
    rerun.s0_train(network, x, y, batches)
    assert_same(network, transcription.s0(before, x, y, batches))


def test_s2_and_its_printed_objective() -> None:
    dataset = moons(split="whole")
    x, y = np.asarray(dataset.x), dataset.y
    network = rerun.s2_network(3)
    expected, printed = transcription.s2(copied(network), x, y, [np.arange(200)] * 60)
    objective = rerun.s2_train(network, x, y, 1001)
    first = [next(objective) for _ in range(60)]
    assert_same(network, expected)
    np.testing.assert_allclose(first, printed, rtol=0, atol=1e-10)
    assert first[0] == pytest.approx(0.432387, abs=1e-6)
    assert list(objective)[-1] == pytest.approx(0.068947, abs=1e-6)


def test_s3() -> None:
    x, y = samples(37, 20, 10)
    network = rerun.s3_network(np.random.RandomState(0), (20, 8, 7, 10))
    before = copied(network)
    errors = list(rerun.s3_train(network, x, y, 60, batch_size=10))
    batches = [(t * 10 + np.arange(10)) % 37 for t in range(60)]
    expected, expected_errors = transcription.s3(before, x, y, batches)
    assert_same(network, expected)
    assert errors == pytest.approx(expected_errors)
