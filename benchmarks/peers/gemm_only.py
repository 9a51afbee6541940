"""The matrix products of an epoch alone, with NumPy: what is left if everything else cost nothing."""

from __future__ import annotations

import itertools
import time

import numpy as np

from benchmarks.tasks import Repetition, Task

Product = tuple[np.ndarray, np.ndarray, np.ndarray]


def prepare(task: Task) -> Repetition:
    """Make the arrays of one full batch and of the last short one; there is no data in it, and none is gathered."""
    batch = task.samples if task.batch_size is None else task.batch_size
    steps, rest = divmod(task.samples, batch)
    full, short = _products(task.sizes, batch), _products(task.sizes, rest) if rest else []

    def repetition(epochs: int) -> float:
        started = time.perf_counter()
        for _ in range(epochs):
            for _ in range(steps):
                for a, b, out in full:
                    np.matmul(a, b, out=out)
            for a, b, out in short:
                np.matmul(a, b, out=out)
        return time.perf_counter() - started

    return repetition


def _products(sizes: tuple[int, ...], batch: int) -> list[Product]:
    """W x forward, delta x^T and W^T delta backward, batch last; the first layer needs no W^T delta."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    products: list[Product] = []
    for position, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        weight, delta = array(outputs, inputs), array(outputs, batch)
        x = array(batch, inputs).T if position == 0 else array(inputs, batch)  # a gathered batch is row-major
        products.append((weight, x, array(outputs, batch)))
        products.append((delta, x.T, array(outputs, inputs)))
        if position:
            products.append((weight.T, delta, array(inputs, batch)))
    return products
