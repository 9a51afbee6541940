"""MNIST: 70,000 handwritten digits of 28 x 28 pixels."""

import functools
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnlab.data import mnist_files
from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.download import fetch_mnist
from nnlab.data.idx import parse_idx
from nnlab.data.splits import choose, fixed

SPLITS = {
    "50k-10k-10k": fixed(50_000, 10_000, 10_000),
    "60k-10k": fixed(60_000, 0, 10_000),
    "60k-5k-5k": fixed(60_000, 5_000, 5_000),
}


def mnist(
    *, split: Literal["50k-10k-10k", "60k-10k", "60k-5k-5k"] = "50k-10k-10k", standardize: bool = False
) -> Dataset:
    """MNIST, x uint8 [70000, 784] and y [70000]: the 60,000 training images, then the 10,000 test images.

    Pixels are row-major, 0 = background .. 255 = ink; inputs are pixels / 255. Fetches the files if they are not there
    (seconds to a minute, 11 MB). The arrays are read once a process.

    Args:
        split: train-val-test. ``50k-10k-10k``: val is the last 10,000 of the training file. ``60k-10k``: no val.
            ``60k-5k-5k``: val is the first half of the test file, test the second (S4).
        standardize: subtract the mean and divide by the standard deviation of the training part, pixel by pixel.

    Returns:
        The data set.

    Raises:
        NnlabError: no such split, a file that is not the published one, or no mirror to fetch it from.
    """
    splitter = choose("mnist", split, SPLITS)
    x, y, data_hash = _arrays(mnist_files.mnist_dir())
    return Dataset(
        name="mnist",
        x=x,
        y=y,
        class_names=tuple("0123456789"),
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(28) for column in range(28)),
        standardize=standardize,
        splitter=splitter,
        data_hash=data_hash,
        source="MNIST (LeCun, Cortes, Burges): the IDX files train and t10k, verified by SHA-256",
        scale=255.0,
    )


@functools.lru_cache(maxsize=1)
def _arrays(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    if any(mnist_files.locate(folder, name) is None for name in mnist_files.SHA256):
        fetch_mnist(lambda line: print(line, file=sys.stderr))  # noqa: T201 - a minute of silence would look like a hang
    images = [_parse(folder, name, 3) for name in (mnist_files.TRAIN_IMAGES, mnist_files.TEST_IMAGES)]
    labels = [_parse(folder, name, 1) for name in (mnist_files.TRAIN_LABELS, mnist_files.TEST_LABELS)]
    x = np.concatenate([part.reshape(len(part), -1) for part in images])
    y = np.concatenate(labels).astype(np.int64)
    return x, y, hash_arrays(x, y)


def _parse(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    path = mnist_files.locate(folder, name) or folder / name
    try:
        return parse_idx(mnist_files.read(path, name), dimensions)
    except ValueError as error:
        raise mnist_files.wrong_file(path, error) from error
