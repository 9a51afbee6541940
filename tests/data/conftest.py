"""No test of this folder sees the user's own data or reaches a network."""

import gzip
import hashlib
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab.data.fashion_mnist import FASHION_MNIST
from nnlab.data.image_dataset import arrays
from nnlab.data.image_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from nnlab.data.mnist import MNIST


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("NNLAB_DATA_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Neither buckets nor npm, unless the test brings its own or is one of those that need the network."""
    if "network" not in request.keywords:
        for files in (MNIST, FASHION_MNIST):
            monkeypatch.setattr(files, "buckets", ())
        monkeypatch.setenv("PATH", "")


class FakeMnist:
    """Twelve training and four test images of 2 x 3 pixels, as IDX files."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.images = rng.integers(0, 256, (16, 2, 3), dtype=np.uint8)
        self.labels = rng.integers(0, 10, 16, dtype=np.uint8)
        self.files = {
            TRAIN_IMAGES: self.idx(self.images[:12]),
            TRAIN_LABELS: self.idx(self.labels[:12]),
            TEST_IMAGES: self.idx(self.images[12:]),
            TEST_LABELS: self.idx(self.labels[12:]),
        }

    def place(self, folder: Path, suffix: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)

    def assert_in(self, folder: Path) -> None:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == self.files

    @staticmethod
    def idx(array: NDArray[np.uint8]) -> bytes:
        return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeMnist:
    result = FakeMnist()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in result.files.items()}
    for files in (MNIST, FASHION_MNIST):
        monkeypatch.setattr(files, "sha256", hashes)
    return result


@pytest.fixture(autouse=True)
def _forget_mnist() -> None:
    arrays.cache_clear()


@pytest.fixture
def refused() -> str:
    """The address of a bucket on a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/mnist/"
