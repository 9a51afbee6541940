"""truncated_normal, orthogonal, sparse and legacy_normal: those that are more than one draw of NumPy's."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.nn.initializers import legacy_normal, orthogonal, sparse, truncated_normal

Shape = tuple[int, ...]
seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(1, 12), st.integers(1, 12)) | st.tuples(*[st.integers(1, 4)] * 4)
cheap = settings(deadline=None, max_examples=50)


class Given(np.random.Generator):
    """A generator that hands out these standard normals, one after the other."""

    def __init__(self, normals: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = normals

    def standard_normal(self, size: Any = None, *_: Any, **__: Any) -> Any:
        count = math.prod(np.atleast_1d(size))
        drawn, self.left = self.left[:count], self.left[count:]
        return np.array(drawn).reshape(size)


def phi(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def kolmogorov_smirnov(sample: NDArray[np.float64], law: Callable[[float], float]) -> float:
    """Largest distance of the laws times sqrt(n): above 2.7 for fewer than one seed in a million."""
    n = sample.size
    expected = np.array([law(x) for x in np.sort(sample.ravel())])
    return float(
        max(np.abs(expected - np.arange(n) / n).max(), np.abs(expected - np.arange(1, n + 1) / n).max())
    ) * math.sqrt(n)


def test_truncated_normal_draws_again_what_falls_outside() -> None:
    first, again, third, fourth = [0.5, -1.1, 2.0, 9.0, -1.0, 2.1], [3.0, -5.0, 1.5], [0.25, 8.0], [-0.5]
    rng = Given([*first, *again, *third, *fourth])
    drawn = truncated_normal(rng, (2, 3), mean=10.0, std=2.0, low=-1.0, high=2.0)
    np.testing.assert_array_equal(drawn, [[11.0, 10.5, 14.0], [9.0, 8.0, 13.0]])
    assert rng.left == []


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-0.5, 3.0), (1.0, 1.5), (-math.inf, 0.0)])
def test_truncated_normal_follows_the_law_between_its_ends(low: float, high: float) -> None:
    drawn = truncated_normal(np.random.default_rng(11), (150, 200), mean=-1.0, std=0.5, low=low, high=high)
    assert drawn.min() >= -1 + 0.5 * low
    assert drawn.max() <= -1 + 0.5 * high
    below, kept = phi(low), phi(high) - phi(low)
    assert kolmogorov_smirnov(drawn, lambda x: (phi((x + 1) / 0.5) - below) / kept) < 2.7


def test_truncated_normals_own_spread_is_as_said() -> None:
    drawn = truncated_normal(np.random.default_rng(12), (300, 400), std=3.0)
    assert drawn.std() == pytest.approx(3 * 0.8796, rel=0.012)  # 8 standard errors
    assert drawn.mean() == pytest.approx(0, abs=6 * 3 * 0.88 / 120_000**0.5)


@given(shape=shapes | st.tuples(st.integers(1, 9)), seed=seeds, low=st.floats(-2, 1), width=st.floats(0.5, 4))
@cheap
def test_truncated_normal_of_any_shape(shape: Shape, seed: int, low: float, width: float) -> None:
    drawn = truncated_normal(np.random.default_rng(seed), shape, low=low, high=low + width)
    again = truncated_normal(np.random.default_rng(seed), shape, low=low, high=low + width)
    assert drawn.shape == shape
    assert drawn.dtype == np.float64
    assert np.all((drawn >= low) & (drawn <= low + width))
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan)])
def test_truncated_normal_refuses_ends_the_wrong_way_round(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"low must be below high, got low={low}, high={high}"):
        truncated_normal(np.random.default_rng(0), (2, 3), low=low, high=high)


@pytest.mark.parametrize(("low", "high"), [(4.0, 5.0), (-math.inf, -9.0), (0.0, 0.01)])
def test_truncated_normal_refuses_an_interval_that_it_would_hardly_ever_hit(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="of the normal law; at least 1 % is needed"):
        truncated_normal(np.random.default_rng(0), (2, 3), low=low, high=high)


def gram_schmidt(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormalise a tall matrix column by column: the Q of the QR decomposition with a positive diagonal in R."""
    done: list[NDArray[np.float64]] = []
    for column in columns.T:
        rest = column.copy()
        for _ in range(2):  # the second time for the rounding of the first
            for q in done:
                rest -= (q @ rest) * q
        done.append(rest / np.sqrt(rest @ rest))
    return np.stack(done, axis=1)


@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (3, 7), (1, 5), (5, 1), (6, 2, 3, 3), (20, 3, 2, 2)])
def test_orthogonal_is_gram_schmidt_of_normal_draws(shape: Shape) -> None:
    normals = np.random.default_rng(3).standard_normal((shape[0], math.prod(shape[1:])))
    is_wide = normals.shape[0] < normals.shape[1]
    q = gram_schmidt(normals.T).T if is_wide else gram_schmidt(normals)
    drawn = orthogonal(np.random.default_rng(3), shape, gain=1.5)
    np.testing.assert_allclose(drawn, 1.5 * q.reshape(shape), rtol=0, atol=1e-13)


@given(shape=shapes, gain=st.floats(0, 10), seed=seeds)
@cheap
def test_orthogonals_shorter_side_is_orthonormal_times_the_gain(shape: Shape, gain: float, seed: int) -> None:
    weight = orthogonal(np.random.default_rng(seed), shape, gain=gain)
    assert weight.shape == shape
    assert weight.dtype == np.float64
    matrix = weight.reshape(shape[0], -1)
    product = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), rtol=0, atol=1e-13 * max(1, gain**2))


def test_orthogonal_favours_no_direction() -> None:
    """A random direction in space has coordinates uniform in [-1, 1] (Archimedes); QR alone has R's signs fixed."""
    rng = np.random.default_rng(4)
    drawn = np.stack([orthogonal(rng, (3, 3)) for _ in range(3000)])
    for row, column in np.ndindex(3, 3):
        assert kolmogorov_smirnov(drawn[:, row, column], lambda x: (x + 1) / 2) < 2.8
    reflected = np.count_nonzero(np.linalg.det(drawn) < 0)
    assert abs(reflected - 1500) < 5.5 * math.sqrt(3000) / 2


@given(
    outputs=st.integers(1, 30),
    inputs=st.integers(1, 12),
    tenths=st.integers(0, 10),
    std=st.floats(0.1, 10),
    seed=seeds,
)
@cheap
def test_sparse_has_that_many_zeros_in_each_column_and_the_normal_draw_elsewhere(
    outputs: int, inputs: int, tenths: int, std: float, seed: int
) -> None:
    drawn = sparse(np.random.default_rng(seed), (outputs, inputs), sparsity=tenths / 10, std=std)
    normals = np.random.default_rng(seed).normal(0, std, (outputs, inputs))
    np.testing.assert_array_equal((drawn == 0).sum(axis=0), -(-outputs * tenths // 10))
    np.testing.assert_array_equal(drawn, np.where(drawn == 0, 0, normals))


def test_sparse_chooses_the_zeros_of_each_column_by_chance() -> None:
    columns = 20_000
    drawn = sparse(np.random.default_rng(5), (5, columns), sparsity=0.4, std=2.0)
    assert kolmogorov_smirnov(drawn[drawn != 0], lambda x: phi(x / 2)) < 2.7
    pairs = [frozenset(np.flatnonzero(column == 0).tolist()) for column in drawn.T]
    expected, spread = columns / 10, math.sqrt(columns * 0.1 * 0.9)
    counts = Counter(pairs)
    assert len(counts) == 10
    assert max(abs(count - expected) for count in counts.values()) < 5.5 * spread
    same_as_next = sum(pair == following for pair, following in itertools.pairwise(pairs))
    assert abs(same_as_next - expected) < 5.5 * spread


def test_sparses_default_spread_is_pytorchs_example() -> None:
    drawn = sparse(np.random.default_rng(6), (40, 50), sparsity=0.0)
    np.testing.assert_array_equal(drawn, np.random.default_rng(6).normal(0, 0.01, (40, 50)))


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, math.nan])
def test_sparse_refuses_a_fraction_outside_0_to_1(sparsity: float) -> None:
    with pytest.raises(ValueError, match=f"sparsity must be between 0 and 1, got {sparsity}"):
        sparse(np.random.default_rng(0), (2, 3), sparsity=sparsity)


def test_sparse_refuses_a_convolutions_weight() -> None:
    with pytest.raises(ValueError, match=r"for the weights of a Linear layer, got a weight of shape \[6, 1, 5, 5\]"):
        sparse(np.random.default_rng(0), (6, 1, 5, 5), sparsity=0.5)


@given(
    outputs=st.integers(1, 9),
    hidden=st.integers(1, 9),
    inputs=st.integers(1, 9),
    seed=seeds,
    run_seed=st.integers(0, 9),
)
@cheap
def test_legacy_normal_is_the_articles_two_calls(
    outputs: int, hidden: int, inputs: int, seed: int, run_seed: int
) -> None:
    """One call after the other, odd counts too: the legacy generator keeps the second normal of a pair."""
    legacy = np.random.RandomState(seed)
    first = legacy.randn(inputs, hidden) / np.sqrt(inputs)
    second = legacy.randn(hidden, outputs) / np.sqrt(hidden)
    rng = np.random.default_rng(run_seed)
    before = rng.bit_generator.state
    np.testing.assert_array_equal(legacy_normal(rng, (hidden, inputs), seed=seed), first.T)
    drawn = legacy_normal(rng, (outputs, hidden), seed=seed, skip=inputs * hidden)
    np.testing.assert_array_equal(drawn, second.T)
    assert drawn.dtype == np.float64
    assert rng.bit_generator.state == before


def test_legacy_normal_starts_where_everybody_knows() -> None:
    """NumPy's first normals after seed 0, as in its documentation and many a book."""
    drawn = legacy_normal(np.random.default_rng(1), (2, 1))
    np.testing.assert_allclose(drawn, [[1.76405235], [0.40015721]], rtol=0, atol=5e-9)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_legacy_normal_refuses_a_seed_outside_32_bits(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"seed must be between 0 and 2\^32 - 1, got {seed}"):
        legacy_normal(np.random.default_rng(0), (2, 3), seed=seed)


def test_legacy_normal_refuses_to_skip_backwards() -> None:
    with pytest.raises(ValueError, match="skip must be at least 0, got -1"):
        legacy_normal(np.random.default_rng(0), (2, 3), skip=-1)


def test_legacy_normal_refuses_a_convolutions_weight() -> None:
    with pytest.raises(ValueError, match=r"for the weights of a Linear layer, got a weight of shape \[6, 1, 5, 5\]"):
        legacy_normal(np.random.default_rng(0), (6, 1, 5, 5))
