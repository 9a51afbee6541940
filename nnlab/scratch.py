"""Scratch: arrays that a layer, a loss or a batch is written into, allocated once and reused."""

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
        self._views: dict[tuple[str | float, tuple[int, ...], Any], NDArray[Any]] = {}
        self._memory: dict[tuple[str | float, Any], NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the array of that name, shape and dtype."""
        view = self._views.get((name, shape, dtype))
        return self._new(name, shape, dtype) if view is None else view

    def full(self, value: float, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array that holds a value everywhere: not to be written to."""
        view = self._views.get((value, shape, dtype))
        return self._new(value, shape, dtype) if view is None else view

    def _new(self, name: str | float, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        size = math.prod(shape)
        memory = self._memory.get((name, dtype))
        if memory is None or memory.size < size:
            # Views of what was too small must go with it, or it would stay allocated.
            self._views = {key: view for key, view in self._views.items() if (key[0], key[2]) != (name, dtype)}
            memory = np.empty(size, dtype) if isinstance(name, str) else np.full(size, name, dtype)
            self._memory[name, dtype] = memory
        view = self._views[name, shape, dtype] = memory[:size].reshape(shape)
        return view

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(memory.nbytes for memory in self._memory.values())
