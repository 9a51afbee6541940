from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nnlab.data import mnist_files, moons, registry, wine
from nnlab.errors import NnlabError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.data.conftest import FakeMnist


def test_fresh_machine(data_dir: Path) -> None:
    assert registry.status() == [
        ("mnist", False, data_dir / "mnist", 0),
        ("moons", True, data_dir / "moons", 0),
        ("wine", True, data_dir / "wine", 0),
    ]
    rows = registry.verify()
    assert [row for row in rows if row.name != "mnist"] == [
        ("moons", "ships with scikit-learn", "ok"),
        ("wine", "ships with scikit-learn", "ok"),
    ]
    assert [(row.file, row.state) for row in rows if row.name == "mnist"] == [
        (f"mnist/{name}", "missing") for name in mnist_files.SHA256
    ]


def test_what_is_there_is_listed_and_verified(fake: FakeMnist, data_dir: Path) -> None:
    fake.place(data_dir / "mnist")
    (data_dir / "mnist" / mnist_files.TEST_LABELS).unlink()
    fake.place(data_dir / "gz", ".gz")
    (data_dir / "gz" / f"{mnist_files.TEST_LABELS}.gz").rename(data_dir / "mnist" / f"{mnist_files.TEST_LABELS}.gz")
    (data_dir / "mnist" / mnist_files.TRAIN_LABELS).write_bytes(b"wrong")
    wine()
    moons()
    moons(noise=0.1)
    (data_dir / "moons" / "200-0.1-0" / "x.npy").write_bytes(b"wrong")
    by_name = {row.name: row for row in registry.status()}
    assert by_name["mnist"].present
    assert by_name["mnist"].bytes == sum(path.stat().st_size for path in (data_dir / "mnist").iterdir())
    assert by_name["wine"].bytes > 178 * 13 * 8
    assert registry.verify() == [
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
    assert lines[-1].endswith("verified")


def test_fetch_of_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(NnlabError, match="no data set 'iris'; choose one of mnist, moons, wine"):
        registry.fetch("iris", print)
