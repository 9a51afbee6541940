from collections import Counter
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.data import batches as batches_module
from nnlab.data.batches import Batch, Batches, Batching, Part

Rows = NDArray[np.int64]
CLASSES = 3
cheap = settings(deadline=None, max_examples=25)


def data(n: int, dtype: Any = np.float64) -> tuple[NDArray[Any], Rows]:
    """Samples that carry their own number, 10 times it, and a label, so that they can be recognised."""
    numbers = np.arange(n)
    return np.stack([numbers, 10 * numbers], axis=1).astype(dtype), numbers % CLASSES


def part(indices: Any, n: int = 50) -> Part:
    return Part(*data(n), CLASSES, np.asarray(indices, np.int64))


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def numbers(batch: Batch) -> list[list[int]]:
    """Which samples each replica sees; all of the batch must belong to them."""
    seen = batch.x[:, 0, :].astype(int)
    np.testing.assert_array_equal(batch.x[:, 1, :], 10 * seen)
    np.testing.assert_array_equal(batch.labels, seen % CLASSES)
    np.testing.assert_array_equal(batch.targets, np.eye(CLASSES)[seen % CLASSES].swapaxes(1, 2))
    assert batch.size == seen.shape[1]
    rows: list[list[int]] = seen.tolist()
    return rows


def epochs(source: Batches, count: int) -> list[list[list[list[int]]]]:
    """Sample numbers by epoch, batch and replica; buffers are reused, so each batch is read before the next."""
    return [[numbers(batch) for batch in source.epoch(epoch * source.steps_per_epoch)] for epoch in range(count)]


def whole(epoch: list[list[list[int]]], replica: int) -> list[int]:
    return [number for batch in epoch for number in batch[replica]]


@given(n=st.integers(1, 23), batch_size=st.integers(1, 23), replicas=st.integers(1, 3))
@cheap
def test_reshuffle_shows_each_sample_once_an_epoch_in_the_order_of_each_replicas_own_stream(
    n: int, batch_size: int, replicas: int
) -> None:
    batch_size = min(n, batch_size)
    rows = np.stack([np.random.default_rng(100 + r).permutation(50)[:n] for r in range(replicas)])
    source, by_hand = Batches(part(rows), batch_size, "reshuffle", rngs(replicas)), rngs(replicas)
    for epoch in epochs(source, 3):
        assert len(epoch) == source.steps_per_epoch
        lengths = [len(batch[0]) for batch in epoch]
        assert lengths == [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])
        for r in range(replicas):
            assert sorted(whole(epoch, r)) == sorted(rows[r].tolist())
            assert whole(epoch, r) == [rows[r][k] for k in by_hand[r].permutation(n)]


def test_reshuffled_orders_differ_between_epochs_and_between_replicas_of_one_split() -> None:
    source = Batches(part([range(40)] * 2), 7, "reshuffle", rngs(2))
    orders = {tuple(whole(epoch, r)) for epoch in epochs(source, 3) for r in range(2)}
    assert len(orders) == 6


def test_reshuffle_with_one_batch_of_everything_still_reshuffles() -> None:
    source = Batches(part([range(40)]), 40, "reshuffle", rngs(1))
    orders = {tuple(whole(epoch, 0)) for epoch in epochs(source, 3)}
    assert len(orders) == 3


@given(n=st.integers(1, 23), batch_size=st.integers(1, 23))
@cheap
def test_sequential_keeps_the_parts_own_order(n: int, batch_size: int) -> None:
    batch_size = min(n, batch_size)
    rows = np.random.default_rng(n).permutation(50)[:n].tolist()
    expected = [[rows[start : start + batch_size]] for start in range(0, n, batch_size)]
    assert epochs(Batches(part([rows]), batch_size, "sequential", rngs(1)), 3) == [expected] * 3


@given(n=st.integers(1, 23), batch_size=st.integers(1, 23), replicas=st.integers(1, 3))
@cheap
def test_wrap_runs_over_the_end_into_the_beginning(n: int, batch_size: int, replicas: int) -> None:
    batch_size = min(n, batch_size)
    rows = [np.random.default_rng(r).permutation(50)[:n].tolist() for r in range(replicas)]
    cursor, expected = 0, []
    for _ in range(4 * -(-n // batch_size)):
        batch: list[list[int]] = [[] for _ in rows]
        for _ in range(batch_size):
            for r, row in enumerate(rows):
                batch[r].append(row[cursor])
            cursor = cursor + 1 if cursor + 1 < n else 0
        expected.append(batch)
    source = Batches(part(rows), batch_size, "wrap", rngs(replicas))
    got = [batch for epoch in epochs(source, 4) for batch in epoch]
    assert got == expected


def test_wrap_by_hand() -> None:
    source = Batches(part([range(5)]), 2, "wrap", rngs(1))
    assert epochs(source, 2) == [[[[0, 1]], [[2, 3]], [[4, 0]]], [[[1, 2]], [[3, 4]], [[0, 1]]]]


@pytest.mark.parametrize("batching", ["reshuffle", "sequential", "wrap"])
def test_a_full_batch_is_the_part_in_its_own_order_every_epoch(batching: Batching) -> None:
    rows = [[4, 9, 2], [7, 1, 0]]
    assert epochs(Batches(part(rows), None, batching, rngs(2)), 3) == [[rows]] * 3


@pytest.mark.parametrize("batch_size", [0, -1, 6])
def test_a_batch_size_beyond_the_samples_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size must be from 1 to the 5 training samples, got {batch_size}"):
        Batches(part([range(5)]), batch_size, "sequential", rngs(1))


@given(n=st.integers(2, 30), replicas=st.integers(1, 4), shares_rows=st.booleans(), seed=st.integers(0, 99))
@cheap
def test_each_replica_has_its_own_standardisation(n: int, replicas: int, shares_rows: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(5, 3, (40, 3)), np.zeros(40, np.int64)
    rows = np.stack([rng.permutation(40)[:n] for _ in range(replicas)])
    rows[1:] = rows[0] if shares_rows else rows[1:]
    mean, std = rng.normal(size=(replicas, 3)), rng.uniform(0.5, 2, (replicas, 3))
    for batch in [next(Part(x, y, 1, rows, mean, std).chunks()), Part(x, y, 1, rows, mean, std).gather(rows)]:
        for r in range(replicas):
            expected = [[(x[row, f] - mean[r, f]) / std[r, f] for row in rows[r]] for f in range(3)]
            np.testing.assert_allclose(batch.x[r], expected, rtol=1e-14)


@pytest.mark.parametrize("differing", ["mean", "std"])
def test_replicas_may_share_rows_and_one_of_mean_and_std_but_not_the_other(differing: str) -> None:
    mean, std = np.ones((2, 2)), np.ones((2, 2))
    (mean if differing == "mean" else std)[1] = 2
    one = Part(*data(9), CLASSES, np.array([[3, 5]] * 2), mean, std)
    for r in range(2):
        expected = [[(number - mean[r, 0]) / std[r, 0] for number in row] for row in ([3, 5], [30, 50])]
        np.testing.assert_array_equal(np.broadcast_to(next(one.chunks()).x, (2, 2, 2))[r], expected)


def test_what_all_replicas_share_is_there_once() -> None:
    """So that a stack's first layer reads, and a batch gathers, one copy of the samples."""
    shared, own = part([[3, 4, 5]] * 4), part([[3, 4, 5]] * 3 + [[3, 4, 6]])
    assert shared.indices.tolist() == [[3, 4, 5]]
    assert numbers(next(shared.chunks())) == [[3, 4, 5]]
    assert [numbers(batch) for batch in Batches(shared, 2, "sequential", rngs(4)).epoch(0)] == [[[3, 4]], [[5]]]
    assert numbers(next(own.chunks())) == [[3, 4, 5]] * 3 + [[3, 4, 6]]
    standardised = Part(*data(9), CLASSES, np.array([[3, 5]] * 4), np.ones((4, 2)), np.full((4, 2), 2.0))
    np.testing.assert_array_equal(next(standardised.chunks()).x, [[[1, 2], [14.5, 24.5]]])


Order = Literal["range", "permuted", "swapped inside", "gap", "two replicas"]


@pytest.mark.parametrize("order", ["range", "permuted", "swapped inside", "gap", "two replicas"])
@pytest.mark.parametrize("size", [1, 6, 7, 8, 14, 20])
def test_chunks_cover_a_part_once_in_its_order(order: Order, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "EVALUATED", 7)
    rows = {
        "range": [list(range(3, 3 + size))],
        "permuted": [np.random.default_rng(0).permutation(size).tolist()],
        "swapped inside": [sorted(range(size), key=lambda n: {1: 2.5}.get(n, n))],
        "gap": [[*range(size - 1), size + 3]],
        "two replicas": [list(range(size)), list(range(5, 5 + size))],
    }[order]
    one = part(rows)
    for _ in range(2):  # kept batches are as good as new ones
        chunks = [numbers(batch) for batch in one.chunks()]
        assert [whole(chunks, r) for r in range(len(rows))] == rows
        assert [len(chunk[0]) for chunk in chunks] == [7] * (size // 7) + ([size % 7] if size % 7 else [])


@pytest.mark.parametrize("size", [100, 5000])
def test_kept_chunks_and_views_outlive_other_batches_and_leave_the_data_alone(size: int) -> None:
    x, y = data(6000)
    one = Part(x, y, CLASSES, np.arange(size)[None])
    assert Counter(n for batch in one.chunks() for n in numbers(batch)[0]) == Counter(range(size))
    for start in range(0, size, 50):
        one.gather(np.arange(start, start + 50)[None])
    assert [n for batch in one.chunks() for n in numbers(batch)[0]] == list(range(size))
    np.testing.assert_array_equal(x, data(6000)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_are_contiguous_for_blas_and_have_the_datas_dtype(dtype: Any) -> None:
    x, y = data(6000, dtype)
    for rows in (np.arange(5000), np.arange(10), np.random.default_rng(0).permutation(5000)):
        for batch in Part(x, y, CLASSES, rows[None]).chunks():
            assert batch.x.dtype == batch.targets.dtype == dtype
            assert batch.x.swapaxes(1, 2).flags.c_contiguous


def test_a_full_batch_of_one_feature_is_not_overwritten_by_others_reading_the_part() -> None:
    x, y = np.arange(600.0)[:, None], np.arange(600) % CLASSES
    source = Part(x, y, CLASSES, np.random.default_rng(0).permutation(600)[None])
    batches = Batches(source, None, "reshuffle", rngs(1))
    (first,) = batches.epoch(0)
    before = first.x.copy()
    list(source.chunks())
    (again,) = batches.epoch(1)
    np.testing.assert_array_equal(again.x, before)
