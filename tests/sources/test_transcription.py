"""nnlab, driven through its experiment files, against the sources' algorithms one sample at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nnlab.build import Stack, build
from nnlab.data.batches import Batch
from nnlab.data.moons import moons
from nnlab.training import EpochResult, train
from tests.jobs import job
from tests.sources import transcription
from tests.sources.transcription import Array, Labels, Network

Indices = NDArray[np.integer[Any]]
FLOAT64 = "training.dtype=float64"


class Trained(NamedTuple):
    """What nnlab did."""

    before: Network
    after: Network
    results: list[EpochResult]
    seen: list[tuple[Array, Labels]]
    """Inputs ``[batch, features]`` and labels of every update."""


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    """On vectors, several would only wait for each other."""
    with threadpool_limits(1):
        yield


def network_of(stack: Stack) -> Network:
    arrays = stack.network.state_dict()
    assert all(array.dtype == np.float64 for array in arrays.values())
    kinds = [".weight", ".bias"]
    return Network(*([a.astype(np.float64) for name, a in arrays.items() if name.endswith(kind)] for kind in kinds))


def compose(experiment: str, *overrides: str) -> Stack:
    return build([job(f"experiment={experiment}", *overrides).config])


def trained(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Train as a recorded run does, and note what passes by."""
    before, seen, epoch = network_of(stack), list[tuple[Array, Labels]](), stack.batches.epoch

    def noting(step: int) -> Iterator[Batch]:
        for batch in epoch(step):
            seen.append((batch.x[0].T.copy(), batch.labels[0].copy()))
            yield batch

    monkeypatch.setattr(stack.batches, "epoch", noting)
    evaluated = {name: part for name, part in stack.parts.items() if name != "train"}
    results = list(
        train(
            stack.network,
            stack.loss,
            stack.optimizer,
            stack.schedules,
            stack.batches,
            stack.plan,
            evaluated,
            penalty=stack.penalty,
            early_stopping=stack.early_stopping,
            diagnostics=stack.diagnostics,
            listeners=stack.listeners(),
        )
    )
    return Trained(before, network_of(stack), results, seen)


def assert_same(run: Trained, expected: Network, updates: int, moved: float = 0.01) -> None:
    """Every layer's weights and biases agree, and moved by far more than what is left between them."""
    assert run.results[-1].step == updates >= 50
    for before, after, other in zip(
        *map(itertools.chain.from_iterable, (run.before, run.after, expected)), strict=True
    ):
        assert np.abs(after - other).max() < 1e-9
        assert np.abs(after - before).max() > moved


def rows_of(run: Trained, x: Array, y: Labels, epochs: int) -> list[Indices]:
    """Recognise the samples that nnlab drew: each epoch has all of them once, in another order."""
    row = {(each.tobytes(), int(label)): n for n, (each, label) in enumerate(zip(x, y, strict=True))}
    assert len(row) == len(x)
    batches = [np.array([row[a.tobytes(), int(label)] for a, label in zip(*each, strict=True)]) for each in run.seen]
    orders = np.concatenate(batches).reshape(epochs, len(x))
    assert (np.sort(orders) == np.arange(len(x))).all()
    assert len({order.tobytes() for order in orders}) == epochs
    return batches


def digits_like(path: Path, n: int) -> tuple[list[str], Array, Labels]:
    """Write images like MNIST's, noisy prototypes and a black one a class; return overrides, pixels / 255, labels."""
    rng = np.random.default_rng(4)
    y = np.arange(n) % 10
    prototypes = rng.uniform(0, 200, (10, 784)) * (rng.random((10, 784)) < 0.3)
    pixels = np.clip(prototypes[y] + rng.normal(0, 40, (n, 784)), 0, 255).astype(np.uint8)
    pixels[:10] = 0
    np.savez(path / "digits.npz", x=pixels, y=y)
    overrides = ["dataset=npz", f"dataset.path={path / 'digits.npz'}", "dataset.scale=255.0", "dataset.split=whole"]
    return [*overrides, "dataset.standardize=false"], pixels / 255, y


def standardized(x: Array) -> Array:
    scaled: Array = (x - x.mean(axis=0)) / x.std(axis=0)
    return scaled


def test_s0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides, x, y = digits_like(tmp_path, 600)
    stack = compose("s0-backprop-mnist", *overrides, FLOAT64, "training.epochs=2")
    run = trained(stack, monkeypatch)
    assert [w.shape for w in run.before.weights] == [(15, 784), (10, 15)]
    drawn = np.concatenate([each.ravel() for each in itertools.chain.from_iterable(run.before)])
    assert np.std(drawn) == pytest.approx(1, abs=0.03)
    assert all(np.std(b) > 0.3 for b in run.before.biases)
    batches = rows_of(run, x, y, 2)
    assert {len(rows) for rows in batches} == {5}
    assert_same(run, transcription.s0(run.before, x, y, batches), 240)


@pytest.mark.parametrize("hidden", [5, 8])
def test_s1(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = compose(f"s1-wine-13-{hidden}-5-3", FLOAT64, "training.epochs=100")
    run = trained(stack, monkeypatch)
    assert [w.shape for w in run.before.weights] == [(hidden, 13), (5, hidden), (3, 5)]
    assert all(w.min() >= 0 and 0.5 < w.max() < 1 and not b.any() for w, b in zip(*run.before, strict=True))
    x, y = standardized(stack.dataset.x), stack.dataset.y
    assert x.shape == (178, 13)
    assert_same(run, transcription.s1(run.before, x, y, [np.arange(178)] * 100), 100)


@pytest.mark.parametrize("hidden", [1, 2, 3, 4, 5, 20, 50])
def test_s2(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = compose(f"s2-moons-hidden-{hidden}", "training.epochs=60")
    run = trained(stack, monkeypatch)
    rng = np.random.RandomState(0)  # what np.random.seed(0) seeds
    w1 = rng.randn(2, hidden) / np.sqrt(2)
    w2 = rng.randn(hidden, 2) / np.sqrt(hidden)
    for own, articles in zip(run.before.weights, (w1.T, w2.T), strict=True):
        np.testing.assert_allclose(own, articles, rtol=1e-15)
    assert not any(b.any() for b in run.before.biases)
    x, y = stack.dataset.x, stack.dataset.y
    np.testing.assert_array_equal(x, moons().x)  # its defaults are S2's
    expected, printed = transcription.s2(run.before, x, y, [np.arange(200)] * 60)
    assert_same(run, expected, 60)
    # Epoch e has the objective before update e - 1 counted from 0, so after update e - 2.
    objectives = [float(result.metrics["train/objective"][0]) for result in run.results[2:]]
    np.testing.assert_allclose(objectives, printed[:-1], rtol=0, atol=1e-9)
    if hidden == 3:
        assert printed[0] == pytest.approx(0.432387, abs=1e-6)
        assert objectives[0] == pytest.approx(0.432387, abs=1e-6)


def test_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides, x, y = digits_like(tmp_path, 730)
    stack = compose("s3-layered-mnist", *overrides, FLOAT64, "training.updates=60")
    run = trained(stack, monkeypatch)
    assert [w.shape for w in run.before.weights] == [(50, 784), (50, 50), (10, 50)]
    for w in run.before.weights:
        bound = np.sqrt(6) / np.sqrt(sum(w.shape) + 1)
        assert 0.95 * bound < np.abs(w).max() <= bound
    batches = [(t * 100 + np.arange(100)) % 730 for t in range(60)]
    expected, errors = transcription.s3(run.before, x, y, batches)
    assert_same(run, expected, 60)
    curve = [1 - float(update.accuracy[0]) for result in run.results for update in result.updates]
    np.testing.assert_allclose(curve, errors, atol=1e-12)
    assert errors[0] > 0.5 > 0.2 > errors[-1]


@pytest.mark.parametrize(
    ("variant", "others"),
    [
        ("cross-entropy", ()),  # in full
        # Smaller, and from larger weights: from the experiment's, 50 updates hardly leave the plateau they start on.
        ("cross-entropy-l2", ("architecture.hidden_sizes=[64,32]", "initializer.std=0.1")),
        ("quadratic", ("architecture.hidden_sizes=[64,32]", "initializer.std=0.1")),
        ("quadratic-l2", ("architecture.hidden_sizes=[64,32]", "initializer.std=0.1")),
    ],
)
def test_s4(variant: str, others: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides, x, y = digits_like(tmp_path, 640)
    stack = compose(f"s4-mnist-{variant}", *overrides, *others, FLOAT64, "training.epochs=5")
    run = trained(stack, monkeypatch)
    first, second = (64, 32) if others else (512, 256)
    assert [w.shape for w in run.before.weights] == [(first, 784), (second, first), (10, second)]
    assert np.std(run.before.weights[0]) == pytest.approx(0.1 if others else 0.01, rel=0.02)
    assert not any(b.any() for b in run.before.biases)
    batches = rows_of(run, x, y, 5)
    assert {len(rows) for rows in batches} == {64}
    assert (batches[0] < 10).any()  # a black image while the biases are 0: relu's derivative at 0 matters
    settings = stack.configs[0].optimizer.arguments
    assert (settings["weight_decay"] > 0) == variant.endswith("l2")
    delta = transcription.quadratic_delta if "quadratic" in variant else transcription.cross_entropy_delta
    penalty = settings["weight_decay"] * 64
    expected = transcription.s4(run.before, x, y, batches, delta, lr=settings["lr"], penalty=penalty)
    assert_same(run, expected, 50, moved=0.01 if others else 0.001)
