"""Flatten and Unflatten: the order of the features, PyTorch's, and a contiguous batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.nn import Flatten, Module, Unflatten
from tests.nn.layers import check_stack_is_lone


def numbered(replicas: int, channels: int, height: int, width: int, batch: int) -> np.ndarray:
    """Rows of features as the data has them, ``[replicas, batch, features]``, no number twice."""
    features = channels * height * width
    return np.arange(replicas * batch * features, dtype=float).reshape(replicas, batch, features)


@pytest.mark.parametrize("replicas", [1, 3])
def test_unflatten_puts_each_feature_at_its_channel_row_and_column(replicas: int) -> None:
    rows = numbered(replicas, 2, 3, 4, 5)
    images = Unflatten(2, 3, 4).forward(rows.swapaxes(1, 2))
    assert images.shape == (replicas, 2, 3, 4, 5)
    for replica, channel, row, column, sample in np.ndindex(images.shape):
        feature = (channel * 3 + row) * 4 + column
        assert images[replica, channel, row, column, sample] == rows[replica, sample, feature]


def test_unflatten_makes_the_batch_contiguous_and_spares_the_copy_where_it_is() -> None:
    rows, layer = numbered(1, 1, 3, 4, 5), Unflatten(1, 3, 4)
    images = layer.forward(rows.swapaxes(1, 2))
    assert images.flags.c_contiguous
    assert np.shares_memory(images, layer.forward((rows + 1).swapaxes(1, 2)))  # its own buffer, used again
    features_first = np.ascontiguousarray(rows.swapaxes(1, 2))
    assert np.shares_memory(layer.forward(features_first), features_first)


def test_flatten_undoes_unflatten_in_both_directions() -> None:
    rows, unflatten, flatten = numbered(2, 2, 3, 4, 5), Unflatten(2, 3, 4), Flatten()
    features = rows.swapaxes(1, 2)
    np.testing.assert_array_equal(flatten.forward(unflatten.forward(features)), features)
    grad_images = flatten.backward(features.copy())
    assert grad_images is not None
    assert grad_images.shape == (2, 2, 3, 4, 5)
    np.testing.assert_array_equal(unflatten.backward(grad_images), features)
    assert flatten.backward(features, input_grad=False) is None
    assert unflatten.backward(grad_images, input_grad=False) is None


@pytest.mark.parametrize("replicas", [1, 2, 7, 32])
@given(dtype=st.sampled_from(["float32", "float64"]), batch=st.integers(1, 9), shares=st.booleans())
@settings(deadline=None, max_examples=5)
def test_a_stack_is_its_lone_runs_bit_for_bit(replicas: int, dtype: str, batch: int, shares: bool) -> None:
    layers: list[tuple[type[Module] | None, tuple[int, ...]]] = [(Flatten, (2, 3, 4)), (None, (24,))]
    for make, sample in layers:
        check_stack_is_lone(make or (lambda: Unflatten(2, 3, 4)), sample, replicas, batch, dtype, shares, 0)


def test_unflatten_tells_how_many_features_it_takes() -> None:
    assert Unflatten(3, 32, 32).in_features == 3072
    assert repr(Unflatten(3, 32, 32)) == "Unflatten(3072 -> 3 x 32 x 32)"
    assert repr(Flatten()) == "Flatten()"


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_bad_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="Unflatten needs sizes of at least 1, got"):
        Unflatten(*sizes)
