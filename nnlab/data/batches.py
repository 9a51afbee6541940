"""Part and Batches: what a stack of replicas sees of one data set, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlab.scratch import Scratch

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

Batching = Literal["reshuffle", "sequential", "wrap"]
Augment = Callable[[Array], None]
"""Changes gathered inputs in place, ``[replicas, batch, features]``, before they are standardised."""

EVALUATED = 256  # samples evaluated at once: enough for BLAS, and a stack then needs little more than for training
PREPARED = 4000  # samples whose labels are prepared at once; no power of two: rows would share cache lines


class Batch(NamedTuple):
    """Samples as the network takes them, batch last; the leading axis is 1 where all replicas share them."""

    x: Array
    """Inputs, ``[replicas or 1, features, batch]``."""
    targets: Array
    """One-hot, ``[replicas or 1, outputs, batch]``."""
    labels: Indices
    """``[replicas or 1, batch]``."""

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(self.x.shape[2])


class Part:
    """One part (train, val, test) of a data set, for a stack of replicas that may each have a split of their own.

    The data itself is shared: a replica has indices, and the mean and scale of its own training part.

    Args:
        x: inputs, ``[n, features]``, row-major; standardised in their dtype, else in the network's already.
        y: labels, ``[n]``.
        outputs: width of the one-hot targets.
        indices: ``[replicas, size]``: which samples of ``x`` each replica has.
        mean: ``[replicas, features]``, subtracted from the inputs; None to leave them as they are.
        std: ``[replicas, features]``, they are then divided by.
        dtype: of the network; that of ``x`` by default.
    """

    def __init__(
        self,
        x: Array,
        y: Indices,
        outputs: int,
        indices: Indices,
        mean: Array | None = None,
        std: Array | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.indices = _shared(indices)
        self.size = indices.shape[1]
        self._x, self._y = x, y
        self._classes = np.arange(outputs)[:, None]
        self.dtype = np.dtype(x.dtype if dtype is None else dtype)
        self._standardization = None
        if mean is not None and std is not None:
            self._standardization = tuple(_shared(each)[:, None].astype(x.dtype) for each in (mean, std))
        self._buffer = Scratch()
        self._chunks: list[Batch] | None = None

    def gather(self, rows: Indices, augment: Augment | None = None) -> Batch:
        """Return the samples ``rows``, ``[replicas or 1, batch]`` indices into ``x``."""
        return Batch(self.inputs(rows, augment), *self.labels(rows))

    def inputs(self, rows: Indices, augment: Augment | None = None) -> Array:
        """Return the inputs of the samples ``rows``, ``[replicas or 1, features, batch]``, in a buffer that is reused.

        They are gathered row-major; BLAS takes the transposed view without a copy.
        """
        gathered = self._buffer("gathered", (*rows.shape, self._x.shape[1]), self._x.dtype)
        self._x.take(rows, axis=0, out=gathered, mode="clip")  # not "raise": that would buffer the output
        if augment:
            augment(gathered)
        if self._standardization is None:
            return gathered.swapaxes(1, 2)
        mean, std = self._standardization
        shape = (max(len(rows), len(mean), len(std)), *gathered.shape[1:])
        centred, x = self._buffer("centred", shape, self._x.dtype), self._buffer("x", shape, self.dtype)
        np.subtract(gathered, mean, out=centred)
        np.divide(centred, std, out=x, casting="same_kind")
        return x.swapaxes(1, 2)

    def labels(self, rows: Indices) -> tuple[Array, Indices]:
        """Return the one-hot targets ``[replicas or 1, outputs, batch]`` and the labels ``[replicas or 1, batch]``."""
        labels = self._y[rows]
        return np.equal(labels[:, None, :], self._classes).astype(self.dtype), labels

    def chunks(self) -> Iterator[Batch]:
        """Yield the whole part in its own order, for evaluation."""
        if self._chunks is not None:
            yield from self._chunks
        elif self.size <= EVALUATED:  # gathered once and kept
            batch = self.gather(self.indices)
            self._chunks = [Batch(batch.x.copy(order="K"), batch.targets.copy(), batch.labels)]
            yield from self._chunks
        else:
            for start in range(0, self.size, EVALUATED):
                yield self._view_or_gather(self.indices[:, start : start + EVALUATED])

    def _view_or_gather(self, rows: Indices) -> Batch:
        """Spare the copy where all replicas look at consecutive samples that need no standardisation (MNIST's test)."""
        first, last = int(rows[0, 0]), int(rows[0, -1])
        is_range = len(rows) == 1 and last - first == rows.shape[1] - 1 and bool((np.diff(rows[0]) == 1).all())
        if not is_range or self._standardization is not None:
            return self.gather(rows)
        return Batch(self._x[first : last + 1].T[None], *self.labels(rows))


class Batches:
    """The training batches of a stack, epoch by epoch.

    Args:
        part: the training part.
        batch_size: None for one batch of everything. It is then gathered once, and never shuffled: the order of its
            samples does not change the gradient.
        batching: ``reshuffle`` draws a new order each epoch; ``sequential`` keeps the part's own; both end an epoch
            with a short batch where the size doesn't divide. ``wrap`` takes consecutive batches that run over the end
            of the data into its beginning, so that all are full.
        rngs: the shuffling stream of each replica.
        augment: what is done to the inputs of each batch; None for nothing.

    Raises:
        ValueError: a batch size below 1 or above the number of samples.
    """

    def __init__(
        self,
        part: Part,
        batch_size: int | None,
        batching: Batching,
        rngs: Sequence[np.random.Generator],
        augment: Augment | None = None,
    ) -> None:
        if batch_size is not None and not 1 <= batch_size <= part.size:
            raise ValueError(f"batch_size must be from 1 to the {part.size} training samples, got {batch_size}")
        self.part, self.rngs, self.augment = part, rngs, augment
        self.is_full = batch_size is None or (batch_size == part.size and batching != "reshuffle")
        self.batch_size = part.size if batch_size is None else batch_size
        self.batching = batching
        self.steps_per_epoch = -(-part.size // self.batch_size)
        self._whole: Batch | None = None

    def epoch(self, step: int) -> Iterator[Batch]:
        """Yield the batches of one epoch that starts at update ``step``, counted from 0 over the whole run."""
        if self.is_full and not self.augment:
            if self._whole is None:
                whole = self.part.gather(self.part.indices)
                # It is used in every epoch: worth a copy of its own that has the batch last in memory too.
                self._whole = whole._replace(x=whole.x.copy(order="C"))
            yield self._whole
            return
        order, size = self._order(), self.batch_size
        if self.batching == "wrap":
            updates = np.arange(step * size, (step + self.steps_per_epoch) * size)
            order = np.take(order, updates, axis=1, mode="wrap")
        # Labels are prepared for many batches at once: with small batches, NumPy's calls are what takes the time.
        several = size * max(1, PREPARED // size)
        for start in range(0, order.shape[1], several):
            rows = order[:, start : start + several]
            targets, labels = self.part.labels(rows)
            for first in range(0, rows.shape[1], size):
                batch = slice(first, first + size)
                x = self.part.inputs(rows[:, batch], self.augment)
                yield Batch(x, targets[:, :, batch], labels[:, batch])

    def _order(self) -> Indices:
        indices, is_shuffled = self.part.indices, self.batching == "reshuffle" and not self.is_full
        if len(indices) == 1 and (is_shuffled or self.augment):
            indices = np.broadcast_to(indices, (len(self.rngs), self.part.size))
        if not is_shuffled:
            return indices
        order = np.empty((len(self.rngs), self.part.size), np.int64)
        for own, row, rng in zip(order, indices, self.rngs, strict=True):
            own[...] = row[rng.permutation(self.part.size)]
        return order


def _shared(rows: NDArray[Any]) -> NDArray[Any]:
    """Keep one row where all replicas have the same."""
    return rows[:1].copy() if (rows == rows[0]).all() else rows
