"""Bytes instead of seconds: the peak that nnlab's ``build`` and one epoch of training allocate, the data set excluded.

NumPy reports its arrays to tracemalloc; BLAS's own scratch memory and the interpreter are not in it.
"""

from __future__ import annotations

import tracemalloc

from benchmarks.peers import nnlab_engine
from benchmarks.tasks import Repetition, Task, arrays


def prepare(task: Task) -> Repetition:
    """Load the data; the repetition then builds, trains and forgets a stack."""
    x, y = arrays(task)

    def repetition(epochs: int) -> float:
        tracemalloc.start()
        try:
            nnlab_engine.build(task, x, y)(epochs)
            return float(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()

    return repetition
