"""JAX as most tutorials write it: one compiled update, called from Python for each batch."""

from __future__ import annotations

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.jax_jit import ACTIVATIONS, batch_first_loss, initialize, update_by
from benchmarks.tasks import Repetition, Task, UnavailableError, arrays


def prepare(task: Task) -> Repetition:
    """One network trained in minibatches; the gather is compiled too, and parameters are donated."""
    batch_size = task.batch_size
    if task.replicas > 1 or batch_size is None:
        raise UnavailableError("one network in minibatches only")
    x, y = (jnp.asarray(array) for array in arrays(task))
    update = functools.partial(update_by, functools.partial(batch_first_loss, ACTIVATIONS[task.activation]), task.lr)
    rng = np.random.default_rng(0)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(parameters: Any, x: Any, y: Any, rows: Any) -> Any:
        return update(parameters, x[rows], y[rows])

    def repetition(epochs: int) -> float:
        parameters = jax.block_until_ready(initialize(task, rng))
        started = time.perf_counter()
        for _ in range(epochs):
            order = rng.permutation(len(y)).astype(np.int32)
            for start in range(0, len(order), batch_size):
                parameters = step(parameters, x, y, order[start : start + batch_size])
        jax.block_until_ready(parameters)
        return time.perf_counter() - started

    return repetition
