"""One layer under test: in a stack, against central differences, against a lone run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.nn import Module, Sequential
from tests.nn.numeric import Float, central_differences

seeds = st.integers(0, 2**32 - 1)
replica_counts = st.sampled_from([1, 3])


def in_a_stack(layer: Module, replicas: int, rng: np.random.Generator, dtype: str = "float64") -> Sequential:
    """A network of that one layer, its parameters and state drawn (running variances above 0)."""
    network = Sequential([layer], replicas=replicas, dtype=dtype)
    network.parameters[...] = rng.normal(size=network.parameters.shape)
    network.state[...] = rng.uniform(0.5, 2, network.state.shape)
    return network


def check_derivatives(network: Sequential, x: Float, rng: np.random.Generator, h: float = 1e-5) -> None:
    """Hold ``backward`` against central differences of a weighted sum of the outputs, by parameters and inputs.

    Where ``x`` has a leading 1, the replicas share it: the sum then feels a change of x through all of them.
    """
    replicas = network.replicas
    out = network.forward(x)
    upstream = rng.normal(size=(replicas, *out.shape[1:]))

    def total() -> float:
        state = network.state.copy()
        value = float(np.sum(network.forward(x) * upstream))
        network.state[...] = state
        return value

    expected_x = central_differences(total, x, h)
    expected = {name: central_differences(total, view, h) for name, view in network.views(network.parameters).items()}
    network.gradients[...] = np.nan  # they are to be written, not added to
    total()
    grad_x = network.backward(upstream.copy(), input_grad=True)
    assert grad_x is not None
    assert grad_x.shape == (replicas, *x.shape[1:])
    np.testing.assert_allclose(
        grad_x if len(x) == replicas else grad_x.sum(axis=0, keepdims=True), expected_x, atol=1e-7
    )
    for name, gradient in network.views(network.gradients).items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-7, rtol=1e-6, err_msg=name)


def check_stack_is_lone(
    make: Callable[[], Module],
    sample: tuple[int, ...],
    replicas: int,
    batch: int,
    dtype: str,
    shares_inputs: bool,
    seed: int,
) -> None:
    """Each replica of a stack must give the bytes of a lone run: outputs, gradients and state, twice, and evaluated."""
    lead = 1 if shares_inputs else replicas
    data = np.random.default_rng(seed)
    xs = [data.normal(size=(lead, *sample, batch)).astype(dtype) for _ in range(2)]
    runs = [_record(make, xs, list(range(replicas)), replicas, dtype, seed)]
    for replica in range(replicas):
        own = xs if shares_inputs else [x[replica : replica + 1] for x in xs]
        lone = _record(make, own, [replica], 1, dtype, seed)
        for alone, stacked in zip(lone, runs[0], strict=True):
            assert alone.dtype == stacked.dtype == np.dtype(dtype)
            own_part = stacked[replica] if len(stacked) > 1 else stacked[0]
            assert alone[0].tobytes() == own_part.tobytes()


def _record(
    make: Callable[[], Module], xs: list[NDArray[Any]], who: list[int], replicas: int, dtype: str, seed: int
) -> list[NDArray[Any]]:
    rngs = [np.random.default_rng([seed, replica, 1]) for replica in who]
    network = Sequential([make()], replicas=replicas, dtype=dtype, rngs=rngs)
    draws = [np.random.default_rng([seed, replica]) for replica in who]
    for row, draw in zip(network.parameters, draws, strict=True):
        row[...] = draw.normal(size=row.shape)
    network.state[...] = 1
    recorded: list[NDArray[Any]] = []
    for x in xs:
        out = network.forward(x)
        recorded.append(out.copy())
        grad = np.stack([draw.normal(size=out.shape[1:]) for draw in draws]).astype(dtype)
        grad_x = network.backward(grad, input_grad=True)
        assert grad_x is not None
        recorded += [grad_x.copy(), network.gradients.copy(), network.state.copy()]
    network.eval()
    return [*recorded, network.forward(xs[0]).copy()]
