"""From the four IDX files to a data set: what MNIST and Fashion-MNIST have in common."""

import functools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnlab.data.dataset import Dataset, hash_arrays
from nnlab.data.download import fetch
from nnlab.data.idx import parse_idx
from nnlab.data.image_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageFiles, locate
from nnlab.data.splits import choose, fixed

SPLITS = {
    "50k-10k-10k": fixed(50_000, 10_000, 10_000),
    "60k-10k": fixed(60_000, 0, 10_000),
    "60k-5k-5k": fixed(60_000, 5_000, 5_000),
}


def image_dataset(
    files: ImageFiles, class_names: tuple[str, ...], source: str, *, split: str, standardize: bool
) -> Dataset:
    """Read the four files, fetching them first where they are missing; the arrays are read once a process.

    Args:
        files: which data set.
        class_names: [10].
        source: where the data came from.
        split: one of `SPLITS`.
        standardize: as for `Dataset`.

    Returns:
        The data set: 28 x 28 pixels, the training file first, then the test file.

    Raises:
        NnlabError: no such split, a file that is not the published one, or no mirror to fetch it from.
    """
    splitter = choose(files.name, split, SPLITS)
    x, y, data_hash = arrays(files, files.folder)
    return Dataset(
        name=files.name,
        x=x,
        y=y,
        class_names=class_names,
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(28) for column in range(28)),
        standardize=standardize,
        splitter=splitter,
        data_hash=data_hash,
        source=source,
        scale=255.0,
        image_shape=(1, 28, 28),
    )


@functools.lru_cache(maxsize=1)
def arrays(files: ImageFiles, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Read x uint8 [n, pixels], y [n] and their hash from a folder, after fetching what is missing there."""
    if any(locate(folder, name) is None for name in files.sha256):
        # A minute of silence would look like a hang.
        fetch(files, lambda line: print(line, file=sys.stderr))  # noqa: T201
    images = [_parse(files, folder, name, 3) for name in (TRAIN_IMAGES, TEST_IMAGES)]
    labels = [_parse(files, folder, name, 1) for name in (TRAIN_LABELS, TEST_LABELS)]
    x = np.concatenate([part.reshape(len(part), -1) for part in images])
    y = np.concatenate(labels).astype(np.int64)
    return x, y, hash_arrays(x, y)


def _parse(files: ImageFiles, folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    path = locate(folder, name) or folder / name
    try:
        return parse_idx(files.read(path, name), dimensions)
    except ValueError as error:
        raise files.wrong_file(path, error) from error
