"""Part and Batches: what a stack of replicas sees of one data set, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

Batching = Literal["reshuffle", "sequential", "wrap"]

_CHUNK = 2048  # samples evaluated at once: large enough for BLAS, small enough for the activations to stay in cache


class Batch(NamedTuple):
    """Samples as the network takes them, batch last; the leading axis is 1 where all replicas share them."""

    x: Array
    """Inputs, ``[replicas or 1, features, batch]``: a transposed view of a row-major gather; BLAS takes it uncopied."""
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
        x: inputs, ``[n, features]``, row-major, in the network's dtype.
        y: labels, ``[n]``.
        outputs: width of the one-hot targets.
        indices: ``[replicas, size]``: which samples of ``x`` each replica has.
        mean: ``[replicas, features]``, subtracted from the inputs; None to leave them as they are.
        std: ``[replicas, features]``, they are then divided by.
    """

    def __init__(
        self,
        x: Array,
        y: Indices,
        outputs: int,
        indices: Indices,
        mean: Array | None = None,
        std: Array | None = None,
    ) -> None:
        self.indices = _shared(indices)
        self.size = indices.shape[1]
        self._x, self._y = x, y
        self._one_hot = np.eye(outputs, dtype=x.dtype)
        self._mean = None if mean is None else _shared(mean)[:, None]
        self._std = None if std is None else _shared(std)[:, None]
        self._buffers: dict[tuple[int, int], tuple[Array, Array]] = {}
        self._chunks: list[Batch] | None = None

    def gather(self, rows: Indices) -> Batch:
        """Return the samples ``rows``, ``[replicas or 1, batch]`` indices into ``x``, in buffers that are reused."""
        buffers = self._buffers.get(rows.shape)
        if buffers is None:
            replicas = max(len(each) for each in (rows, self._mean, self._std) if each is not None)
            buffers = self._buffers[rows.shape] = (
                np.empty((replicas, rows.shape[1], self._x.shape[1]), self._x.dtype),
                np.empty((len(rows), rows.shape[1], len(self._one_hot)), self._x.dtype),
            )
        x, targets = buffers
        labels = np.take(self._y, rows)
        np.take(self._one_hot, labels, axis=0, out=targets, mode="clip")  # not "raise": that would buffer the output
        if self._mean is None or self._std is None:
            np.take(self._x, rows, axis=0, out=x, mode="clip")
        else:
            np.subtract(np.take(self._x, rows, axis=0), self._mean, out=x)
            x /= self._std
        return Batch(x.swapaxes(1, 2), targets.swapaxes(1, 2), labels)

    def chunks(self) -> Iterator[Batch]:
        """Yield the whole part in its own order, for evaluation."""
        if self._chunks is not None:
            yield from self._chunks
        elif self.size <= _CHUNK:  # gathered once and kept
            batch = self.gather(self.indices)
            self._chunks = [Batch(batch.x.copy(order="K"), batch.targets.copy(), batch.labels)]
            yield from self._chunks
        else:
            for start in range(0, self.size, _CHUNK):
                yield self._view_or_gather(self.indices[:, start : start + _CHUNK])

    def _view_or_gather(self, rows: Indices) -> Batch:
        """Spare the copy where all replicas look at consecutive samples that need no standardisation (MNIST's test)."""
        first, last = int(rows[0, 0]), int(rows[0, -1])
        is_range = len(rows) == 1 and last - first == rows.shape[1] - 1 and bool((np.diff(rows[0]) == 1).all())
        if not is_range or self._mean is not None:
            return self.gather(rows)
        labels = self._y[None, first : last + 1]
        return Batch(self._x[first : last + 1].T[None], self._one_hot[labels].swapaxes(1, 2), labels)


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

    Raises:
        ValueError: a batch size below 1 or above the number of samples.
    """

    def __init__(
        self, part: Part, batch_size: int | None, batching: Batching, rngs: Sequence[np.random.Generator]
    ) -> None:
        if batch_size is not None and not 1 <= batch_size <= part.size:
            raise ValueError(f"batch_size must be from 1 to the {part.size} training samples, got {batch_size}")
        self.part, self.rngs = part, rngs
        self.is_full = batch_size is None or (batch_size == part.size and batching != "reshuffle")
        self.batch_size = part.size if batch_size is None else batch_size
        self.batching = batching
        self.steps_per_epoch = -(-part.size // self.batch_size)
        self._whole: Batch | None = None

    def epoch(self, step: int) -> Iterator[Batch]:
        """Yield the batches of one epoch that starts at update ``step``, counted from 0 over the whole run."""
        if self.is_full:
            if self._whole is None:
                self._whole = self.part.gather(self.part.indices)
            yield self._whole
            return
        order = self._order()
        size, n = self.batch_size, self.part.size
        if self.batching == "wrap":
            for update in range(step, step + self.steps_per_epoch):
                yield self.part.gather(
                    np.take(order, np.arange(update * size, (update + 1) * size), axis=1, mode="wrap")
                )
        else:
            for start in range(0, n, size):
                yield self.part.gather(order[:, start : start + size])

    def _order(self) -> Indices:
        indices = self.part.indices
        if self.batching != "reshuffle":
            return indices
        if len(indices) == 1:
            indices = np.broadcast_to(indices, (len(self.rngs), self.part.size))
        return np.stack([row[rng.permutation(self.part.size)] for row, rng in zip(indices, self.rngs, strict=True)])


def _shared(rows: NDArray[Any]) -> NDArray[Any]:
    """Keep one row where all replicas have the same."""
    return rows[:1] if (rows == rows[0]).all() else rows
