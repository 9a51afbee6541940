"""A file is replaced whole or not at all."""

import os
from pathlib import Path

import pytest

from nnlab import atomic_file


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sweep" / "plan.json"
    path.parent.mkdir()
    for data in (b"old", b"", b"new" * 1000):
        atomic_file.write(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_what_was_there_stands_until_the_new_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep" / "plan.json"
    path.parent.mkdir()
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_file.write(path, b"new")
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux which files are open")
def test_a_directory_is_closed_also_where_it_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Invalid"):
        atomic_file.sync_directory(tmp_path)
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208
    assert str(tmp_path) not in links
