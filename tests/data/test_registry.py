from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nnlab.data import moons, registry, wine
from nnlab.data.image_files import TEST_LABELS, TRAIN_LABELS
from nnlab.data.mnist import MNIST
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.data.conftest import FakeMnist


def test_fresh_machine(data_dir: Path) -> None:
    assert registry.status() == [
        ("breast_cancer", True, data_dir / "breast_cancer", 0),
        ("circles", True, data_dir / "circles", 0),
        ("digits", True, data_dir / "digits", 0),
        ("fashion_mnist", False, data_dir / "fashion_mnist", 0),
        ("iris", True, data_dir / "iris", 0),
        ("mnist", False, data_dir / "mnist", 0),
        ("moons", True, data_dir / "moons", 0),
        ("wine", True, data_dir / "wine", 0),
    ]
    rows = registry.verify()
    assert [row for row in rows if "mnist" not in row.name] == [
        (name, "ships with scikit-learn", "ok")
        for name in ("breast_cancer", "circles", "digits", "iris", "moons", "wine")
    ]
    for downloaded in ("mnist", "fashion_mnist"):
        assert [(row.file, row.state) for row in rows if row.name == downloaded] == [
            (f"{downloaded}/{name}", "missing") for name in MNIST.sha256
        ]


def test_what_is_there_is_listed_and_verified(fake: FakeMnist, data_dir: Path) -> None:
    fake.place(data_dir / "mnist")
    (data_dir / "mnist" / TEST_LABELS).unlink()
    fake.place(data_dir / "gz", ".gz")
    (data_dir / "gz" / f"{TEST_LABELS}.gz").rename(data_dir / "mnist" / f"{TEST_LABELS}.gz")
    (data_dir / "mnist" / TRAIN_LABELS).write_bytes(b"wrong")
    wine()
    moons()
    moons(noise=0.1)
    (data_dir / "moons" / "200-0.1-0" / "x.npy").write_bytes(b"wrong")
    by_name = {row.name: row for row in registry.status()}
    assert by_name["mnist"].present
    assert by_name["mnist"].bytes == sum(path.stat().st_size for path in (data_dir / "mnist").iterdir())
    assert by_name["wine"].bytes > 178 * 13 * 8
    assert [row for row in registry.verify() if row.name in ("mnist", "moons", "wine")] == [
        ("mnist", "mnist/train-images-idx3-ubyte", "ok"),
        ("mnist", "mnist/train-labels-idx1-ubyte", "wrong"),
        ("mnist", "mnist/t10k-images-idx3-ubyte", "ok"),
        ("mnist", "mnist/t10k-labels-idx1-ubyte.gz", "ok"),
        ("moons", "moons/200-0.1-0", "wrong"),
        ("moons", "moons/200-0.2-0", "ok"),
        ("wine", "wine", "ok"),
    ]


def test_fetch(fake: FakeMnist, data_dir: Path) -> None:
    lines: list[str] = []
    registry.fetch("wine", lines.append)
    registry.fetch("moons", lines.append)
    assert lines == [f"{name}: ships with scikit-learn, nothing to fetch" for name in ("wine", "moons")]
    fake.place(data_dir / "mnist")
    registry.fetch("mnist", lines.append)
    assert lines[-1] == f"mnist: the four files are in {data_dir / 'mnist'} and verified"
    fake.place(data_dir / "fashion_mnist")
    registry.fetch("fashion_mnist", lines.append)
    assert lines[-1] == f"fashion_mnist: the four files are in {data_dir / 'fashion_mnist'} and verified"


def test_fetch_of_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(NnlabError, match=r"no data set 'cifar'; choose one of breast_cancer, .*, mnist, moons, wine"):
        registry.fetch("cifar", print)
