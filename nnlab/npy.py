"""Npy: NumPy's file format, as somebody else may have written it; nothing in it can run code."""

from __future__ import annotations

import io
import math
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nnlab.one_line import one_line

PICKLED = "holds Python objects, which are not loaded: they are pickled, and a pickle can run any code"
"""What is wrong with an array of objects."""

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_header(stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape, and the bytes that the whole file has by its header.

    NumPy allocates what the header promises, so compare that with what is there before reading on.

    Raises:
        ValueError: this is no such header; one line.
    """
    try:
        version = npy.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"an array of .npy version {version}, which holds neither numbers nor text")
        shape, _, dtype = _READERS[version](stream)
        promised = stream.tell() + dtype.itemsize * math.prod(shape)
        if min(shape, default=0) < 0 or promised >= 2**63:
            raise ValueError("no file has an array of the shape that its header names")
    except (
        Exception
    ) as error:  # a header is a Python literal: IndexError, RecursionError, TokenError ... come out of it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(one_line(reason[:200])) from error
    return dtype, shape, promised


def file_bytes(numbers: int) -> int:
    """Return how many bytes a file of so many numbers has at most, whatever their dtype."""
    return 16 * numbers + 65536


def parse(data: bytes) -> NDArray[Any]:
    """Return the array of numbers that the bytes of a file are.

    Raises:
        ValueError: they are not one, or hold Python objects; one line that goes on from the file's name.
    """
    stream = io.BytesIO(data)
    try:
        dtype, _, promised = read_header(stream)
    except ValueError as error:
        raise ValueError(f"is no array of numbers: {error}") from error
    if dtype.hasobject:
        raise ValueError(f"is no array of numbers: it {PICKLED}")
    if dtype.kind not in "biuf":
        raise ValueError(f"is no array of numbers but of {dtype}")
    if promised != len(data):
        raise ValueError(f"is damaged: its header promises {promised} bytes, it has {len(data)}")
    stream.seek(0)
    array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array
