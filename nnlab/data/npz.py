"""A user's own arrays: a file of numpy.savez."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from nnlab import npy
from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.labels import encode_labels
from nnlab.data.points import is_finite
from nnlab.data.splits import choose, stratified, whole
from nnlab.data.user_file import user_file
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits

MAX_BYTES = 4 * 2**30  # of one array; a few MB of zip can claim to hold terabytes
KEPT = (np.uint8, np.float32, np.float64)  # dtypes of x that stay; any other becomes float64


def npz(
    *,
    path: str | None = None,
    x: str = "x",
    target: str = "y",
    scale: float = 1.0,
    split: Literal["stratified", "whole"] = "stratified",
    standardize: bool = True,
) -> Dataset:
    """Two arrays of one file, x [n, features], [n, height, width] or [n, channels, height, width], and y [n].

    Images are flattened row-major. The classes are sorted (numbers by size, text by its code points).

    Args:
        path: of the ``.npz`` file; relative to the current directory, ``~`` is the home directory.
        x: name of the array of features or images; numbers.
        target: name of the array of classes, numbers or text.
        scale: above 0; inputs are x / scale.
        split: ``stratified`` is 60/20/20, drawn from the run's split stream; ``whole`` trains and reports on all rows.
        standardize: subtract the mean and divide by the standard deviation of the training part.

    Returns:
        The data set.

    Raises:
        NnlabError: an argument or an array is not usable, named as ``dataset.<argument>``.
    """
    file = user_file(path, ".npz file")
    if not is_finite(scale) or scale <= 0:
        raise NnlabError(f"dataset.scale: npz needs a finite number above 0, got {scale!r}")
    inputs, labels = _read(file, {"x": x, "target": target})
    _check_shapes(inputs, labels, f"dataset.x: array {x!r} of {file}", f"dataset.target: array {target!r} of {file}")
    image_shape = None if inputs.ndim == 2 else (*(1,) * (4 - inputs.ndim), *inputs.shape[1:])
    inputs = np.ascontiguousarray(
        inputs.reshape(len(inputs), -1), dtype=inputs.dtype if inputs.dtype in KEPT else np.float64
    )
    strange = np.argwhere(~np.isfinite(inputs))
    if len(strange):
        row, column = strange[0]
        raise NnlabError(
            f"dataset.x: array {x!r} of {file} has {len(strange)} values that are NaN or infinite, the first "
            f"({inputs[row, column]}) in row {row}; fill them in or drop the rows"
        )
    y, class_names = encode_labels(labels, f"dataset.target: array {target!r} of {file}", split)
    return Dataset(
        name="npz",
        x=inputs,
        y=y,
        class_names=class_names,
        feature_names=_feature_names(image_shape, inputs.shape[1]),
        standardize=standardize,
        splitter=choose("npz", split, {"stratified": stratified(y), "whole": whole(len(y))}),
        data_hash=hash_arrays(inputs, y),
        source=f"{file}, arrays {x} and {target}",
        scale=float(scale),
        image_shape=image_shape,
    )


def _read(file: Path, wanted: dict[str, str]) -> list[NDArray[Any]]:
    """Read arrays by name; ``wanted`` maps the argument to the name it gives."""
    try:
        with zipfile.ZipFile(file) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            for argument, name in wanted.items():
                if name not in there:
                    raise NnlabError(
                        f"dataset.{argument}: {file} has no array {name!r}; it has {', '.join(there) or 'none'}"
                    )
            return [_array(archive, name, f"dataset.{argument}", file) for argument, name in wanted.items()]
    except zipfile.BadZipFile as error:
        raise NnlabError(f"dataset.path: {file} is no .npz file, or damaged: {error}") from error
    except OSError as error:
        raise NnlabError(f"dataset.path: cannot read {file}: {error.strerror or error}") from error
    # RuntimeError: an encrypted member; NotImplementedError is one too, for a compression that Python has not.
    except (ValueError, EOFError, zlib.error, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NnlabError(f"dataset.path: {file} is damaged: {reason}") from error


def _array(archive: zipfile.ZipFile, name: str, argument: str, file: Path) -> NDArray[Any]:
    where = f"{argument}: array {name!r} of {file}"
    size = archive.getinfo(f"{name}.npy").file_size
    if size > MAX_BYTES:
        raise NnlabError(f"{where} has {size} bytes; more than {MAX_BYTES // 2**30} GiB are not read")
    check_fits(2 * size, where)
    with archive.open(f"{name}.npy") as stream:
        dtype, _, promised = npy.read_header(io.BytesIO(stream.read(npy.file_bytes(0))))
    if dtype.hasobject:
        raise NnlabError(f"{where} {npy.PICKLED}; save it as numbers or text")
    # NumPy allocates what the header promises, so that must be what the file has.
    if promised != size:
        raise NnlabError(f"{where} is damaged: its header promises {promised} bytes, it has {size}")
    with archive.open(f"{name}.npy") as stream:
        array: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_shapes(x: NDArray[Any], y: NDArray[Any], where_x: str, where_y: str) -> None:
    if x.dtype.kind not in "buif":
        raise NnlabError(f"{where_x} is {x.dtype}; features are real numbers")
    if x.ndim not in (2, 3, 4) or not x.size:
        raise NnlabError(
            f"{where_x} has shape {list(x.shape)}; [n, features], [n, height, width] or [n, channels, height, width] "
            "is needed, none of them 0"
        )
    if y.shape != x.shape[:1]:
        raise NnlabError(f"{where_y} has shape {list(y.shape)}, and [{len(x)}] is needed: a class for each row of x")
    if y.dtype.kind not in "buifU":
        raise NnlabError(f"{where_y} is {y.dtype}; classes are numbers or text")


def _feature_names(image_shape: tuple[int, ...] | None, features: int) -> tuple[str, ...]:
    if image_shape is None:
        return tuple(f"x{column}" for column in range(features))
    channels, height, width = image_shape
    pixels = [f"pixel_{row}_{column}" for row in range(height) for column in range(width)]
    return tuple(pixels) if channels == 1 else tuple(f"{pixel}_{c}" for c in range(channels) for pixel in pixels)
