"""JAX at its best on a CPU: a whole epoch is one compiled ``lax.scan`` over shuffled indices.

Batch first, weights ``[out, in]``, parameters donated; a stack is ``vmap`` over the parameters and each network's
order. Compilation is not timed. Shuffling the data before the scan, or weights ``[in, out]``, was no faster.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import Repetition, Task, UnavailableError, arrays

ACTIVATIONS: dict[str, Any] = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class Layout(NamedTuple):
    """Which axis of an array is the batch."""

    loss: Callable[..., Any]
    """(activation, parameters, x, targets) -> mean cross-entropy."""
    targets: Callable[[NDArray[np.int64]], NDArray[Any]]
    """Labels ``[n]`` -> what the loss takes, n first."""
    orient: Callable[[Any], Any]
    """Samples first -> as the loss takes them."""


def prepare(task: Task) -> Repetition:
    """One network, or with ``task.replicas`` above 1 a ``vmap`` over so many."""
    return prepare_in(Layout(batch_first_loss, lambda y: y, lambda a: a), task)


def prepare_in(layout: Layout, task: Task) -> Repetition:
    """The same in a given layout."""
    if task.hidden_sizes is None:
        raise UnavailableError("fully connected networks only")
    images, labels = arrays(task)
    x, y = jnp.asarray(images), jnp.asarray(layout.targets(labels))
    update = functools.partial(update_by, functools.partial(layout.loss, ACTIVATIONS[task.activation]), task.lr)
    is_full = task.batch_size is None
    if is_full:
        x, y = jnp.asarray(layout.orient(x)), jnp.asarray(layout.orient(y))
        train = _full_batch(update)
    else:
        train = _minibatches(update, layout.orient, task.batch_size or len(labels))
    if task.replicas > 1:
        train = jax.vmap(train, (0, None, None, None if is_full else 0))
    train = jax.jit(train, donate_argnums=0)
    rng = np.random.default_rng(0)

    def repetition(epochs: int) -> float:
        parameters = jax.block_until_ready(initialize(task, rng))
        started = time.perf_counter()
        if is_full:
            parameters = train(parameters, x, y, epochs)
        else:
            for _ in range(epochs):
                orders = np.stack([rng.permutation(len(labels)).astype(np.int32) for _ in range(task.replicas)])
                parameters = train(parameters, x, y, orders if task.replicas > 1 else orders[0])
        jax.block_until_ready(parameters)
        return time.perf_counter() - started

    return repetition


def _minibatches(update: Any, orient: Any, batch_size: int) -> Any:
    def epoch(parameters: Any, x: Any, y: Any, order: Any) -> Any:
        def step(parameters: Any, rows: Any) -> Any:
            return update(parameters, orient(x[rows]), orient(y[rows])), None

        steps = len(order) // batch_size
        full, rest = order[: steps * batch_size].reshape(steps, batch_size), order[steps * batch_size :]
        parameters, _ = jax.lax.scan(step, parameters, full)
        return step(parameters, rest)[0] if len(rest) else parameters

    return epoch


def _full_batch(update: Any) -> Any:
    def epochs(parameters: Any, x: Any, y: Any, count: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, p: update(p, x, y), parameters)

    return epochs


def update_by(loss: Any, lr: float, parameters: Any, x: Any, y: Any) -> Any:
    """Return the parameters after a step down the gradient."""
    return jax.tree.map(lambda p, grad: p - lr * grad, parameters, jax.grad(loss)(parameters, x, y))


def batch_first_loss(activation: Any, parameters: Any, x: Any, y: Any) -> Any:
    """Return the mean cross-entropy of samples ``[batch, features]`` with labels ``[batch]``."""
    for weight, bias in parameters[:-1]:
        x = activation(x @ weight.T + bias)
    weight, bias = parameters[-1]
    log_p = jax.nn.log_softmax(x @ weight.T + bias)
    return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()


def initialize(task: Task, rng: np.random.Generator) -> Any:
    """Return (weight, bias) of each layer, with a leading axis where there are replicas."""
    stack = (task.replicas,) if task.replicas > 1 else ()
    return [
        (
            jnp.asarray(rng.normal(0, np.sqrt(2 / before), (*stack, after, before)).astype(np.float32)),
            jnp.zeros((*stack, after), jnp.float32),
        )
        for before, after in itertools.pairwise(task.sizes)
    ]
