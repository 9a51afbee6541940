from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from nnlab.data import fashion_mnist, hash_arrays, image_files, mnist
from nnlab.data.fashion_mnist import CLASS_NAMES, FASHION_MNIST
from nnlab.data.idx import parse_idx, uncompressed
from nnlab.data.image_dataset import SPLITS, arrays
from nnlab.data.image_files import TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from nnlab.data.mnist import MNIST
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from tests.data.conftest import FakeMnist


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_training_images_come_first_then_the_test_images(fake: FakeMnist, data_dir: Path, suffix: str) -> None:
    fake.place(data_dir / "mnist", suffix)
    x, y, data_hash = arrays(MNIST, data_dir / "mnist")
    np.testing.assert_array_equal(x, fake.images.reshape(16, 6))
    np.testing.assert_array_equal(y, fake.labels)
    assert x.dtype == np.uint8
    assert y.dtype == np.int64
    assert data_hash == hash_arrays(x, y)
    assert arrays(MNIST, data_dir / "mnist")[0] is x  # read once a process


def test_the_data_set(fake: FakeMnist, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = (np.arange(70_000) % 10).astype(np.uint8)
    images = np.zeros((70_000, 28, 28), dtype=np.uint8)
    images[:, 0, 1] = labels
    for name, part in (("TRAIN", slice(60_000)), ("TEST", slice(60_000, None))):
        fake.files[getattr(image_files, f"{name}_IMAGES")] = fake.idx(images[part])
        fake.files[getattr(image_files, f"{name}_LABELS")] = fake.idx(labels[part])
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in fake.files.items()}
    monkeypatch.setattr(MNIST, "sha256", hashes)
    fake.place(data_dir / "mnist")
    data = mnist()
    assert (data.x.shape, data.classes, data.scale) == ((70_000, 784), 10, 255)
    assert data.x.dtype == np.uint8
    assert data.feature_names[29] == "pixel_1_1"
    assert data.image_shape == (1, 28, 28)
    assert mnist(split="60k-5k-5k", standardize=True).x is data.x
    assert data.inputs(np.float32)[9, 1] == np.float32(9) / np.float32(255)


def test_fashion_mnist_has_a_folder_and_names_of_its_own(
    fake: FakeMnist, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = (np.arange(70_000) % 10).astype(np.uint8)
    images = np.zeros((70_000, 28, 28), dtype=np.uint8)
    for part, images_name, labels_name in (
        (slice(60_000), image_files.TRAIN_IMAGES, image_files.TRAIN_LABELS),
        (slice(60_000, None), image_files.TEST_IMAGES, image_files.TEST_LABELS),
    ):
        fake.files |= {images_name: fake.idx(images[part]), labels_name: fake.idx(labels[part])}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in fake.files.items()}
    monkeypatch.setattr(FASHION_MNIST, "sha256", hashes)
    fake.place(data_dir / "fashion_mnist")
    data = fashion_mnist(split="60k-10k")
    assert (data.name, data.x.shape, data.class_names) == ("fashion_mnist", (70_000, 784), CLASS_NAMES)
    assert (data.classes, data.scale, data.image_shape) == (10, 255, (1, 28, 28))
    assert len(data.splitter(np.random.default_rng(0)).val) == 0
    (data_dir / "fashion_mnist" / TEST_LABELS).write_bytes(b"wrong")
    arrays.cache_clear()
    with pytest.raises(NnlabError, match=r"^dataset=fashion_mnist: .*run `nnlab data fetch fashion_mnist`"):
        fashion_mnist()


def test_the_published_hashes_are_those_of_eight_different_files() -> None:
    assert MNIST.sha256.keys() == FASHION_MNIST.sha256.keys()
    hashes = {*MNIST.sha256.values(), *FASHION_MNIST.sha256.values()}
    assert len(hashes) == 8
    assert all(len(bytes.fromhex(each)) == 32 for each in hashes)


@pytest.mark.parametrize(
    ("name", "train", "val", "test"),
    [
        ("50k-10k-10k", (0, 50_000), (50_000, 60_000), (60_000, 70_000)),
        ("60k-10k", (0, 60_000), (60_000, 60_000), (60_000, 70_000)),
        ("60k-5k-5k", (0, 60_000), (60_000, 65_000), (65_000, 70_000)),
    ],
)
def test_splits(name: str, train: tuple[int, int], val: tuple[int, int], test: tuple[int, int]) -> None:
    split = SPLITS[name](np.random.default_rng(0))
    np.testing.assert_array_equal(split.train, np.arange(*train))
    np.testing.assert_array_equal(split.val, np.arange(*val))
    np.testing.assert_array_equal(split.test, np.arange(*test))


def test_unknown_split_is_named_before_anything_is_fetched() -> None:
    with pytest.raises(NnlabError, match="'60k'; choose one of 50k-10k-10k, 60k-10k, 60k-5k-5k"):
        mnist(split="60k")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_wrong_file_is_one_clear_line(fake: FakeMnist, data_dir: Path, damage: str, suffix: str) -> None:
    fake.place(data_dir / "mnist", suffix)
    path = data_dir / "mnist" / f"{TEST_LABELS}{suffix}"
    good = path.read_bytes()
    flipped = good[:-6] + bytes([good[-6] ^ 1]) + good[-5:]
    path.write_bytes({"flip": flipped, "cut": good[:-1], "empty": b"", "longer": good + b"\0\1"}[damage])
    with pytest.raises(NnlabError, match="is not the published file") as error:
        mnist()
    assert str(path) in str(error.value)
    assert "delete it and run `nnlab data fetch mnist`" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(fake: FakeMnist, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.place(data_dir / "mnist")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NnlabError, match=r"cannot read .*ubyte: Permission denied"):
        mnist()


def test_a_huge_file_is_not_read(fake: FakeMnist, data_dir: Path) -> None:
    fake.place(data_dir / "mnist")
    with (data_dir / "mnist" / TRAIN_IMAGES).open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(NnlabError, match="it has 1099511627776 bytes"):
        mnist()


def test_right_hash_but_wrong_content_still_names_the_file(
    fake: FakeMnist, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.files[TRAIN_LABELS] = fake.files[TRAIN_IMAGES]
    monkeypatch.setattr(MNIST, "sha256", {**MNIST.sha256, TRAIN_LABELS: MNIST.sha256[TRAIN_IMAGES]})
    fake.place(data_dir / "mnist")
    with pytest.raises(
        NnlabError, match=r"train-labels-idx1-ubyte is not .*magic number is 00000803, expected 00000801"
    ):
        mnist()


def test_idx_is_read_strictly(fake: FakeMnist) -> None:
    good = fake.idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    np.testing.assert_array_equal(parse_idx(good, 3), np.arange(24).reshape(2, 3, 4))
    for bad, reason in (
        (b"", "absent"),
        (good[:3], "magic"),
        (good[:15], "header is cut short: 15 of 16"),
        (good[:-1], "promises 40 bytes, the file has 39"),
        (good + b"\0", "promises 40 bytes, the file has 41"),
        (b"\0\0\x0d\3" + good[4:], "magic number is 00000d03"),  # 0d: floating point
        (b"\0\0\x08\1" + good[4:], "magic number is 00000801"),
        (good[:4] + b"\xff" * 12, "promises"),
    ):
        with pytest.raises(ValueError, match=reason):
            parse_idx(bad, 3)


def test_gzip_is_undone_within_bounds() -> None:
    assert uncompressed(b"\0plain") == b"\0plain"
    assert uncompressed(gzip.compress(b"\0plain")) == b"\0plain"
    with pytest.raises(ValueError, match="more than 64 MiB"):
        uncompressed(gzip.compress(bytes(2**26 + 1), compresslevel=1))
    with pytest.raises(ValueError, match="damaged gzip"):
        uncompressed(gzip.compress(b"abc" * 99)[:-9])
