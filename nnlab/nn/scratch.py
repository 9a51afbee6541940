"""Scratch: arrays that a layer or a loss writes its results into, allocated once and reused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scratch:
    """Uninitialised arrays by name; one name's arrays of all shapes share the memory of the largest.

    So the last short batch of an epoch and the batches of an evaluation cost no memory of their own, and a name must
    not be used for two things at once.
    """

    def __init__(self) -> None:
        self._views: dict[tuple[str, tuple[int, ...], Any], NDArray[Any]] = {}
        self._memory: dict[tuple[str, Any], NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the array of that name, shape and dtype."""
        key = (name, shape, dtype)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._memory_of(name, math.prod(shape), dtype)[: math.prod(shape)].reshape(shape)
        return view

    def _memory_of(self, name: str, size: int, dtype: Any) -> NDArray[Any]:
        memory = self._memory.get((name, dtype))
        if memory is None or memory.size < size:
            # Views of what was too small must go with it, or it would stay allocated.
            self._views = {key: view for key, view in self._views.items() if (key[0], key[2]) != (name, dtype)}
            memory = self._memory[name, dtype] = np.empty(size, dtype)
        return memory

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(memory.nbytes for memory in self._memory.values())
