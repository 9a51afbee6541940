import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnlab.data import cache
from nnlab.data.cache import Arrays, check, data_dir, prepared, write_atomically

X, Y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return X, Y


def use(make: Maker) -> None:
    x, y = prepared("toy", make)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert x.dtype == np.float64
    assert y.dtype == np.int64


def test_made_once_then_read(data_dir: Path) -> None:
    make = Maker()
    assert check("toy") == "missing"
    use(make)
    use(make)
    assert make.calls == 1
    assert check("toy") == "ok"
    assert sorted(path.name for path in (data_dir / "toy").iterdir()) == ["sha256.json", "x.npy", "y.npy"]


@pytest.mark.parametrize("name", cache.ARRAY_FILES)
def test_any_flipped_byte_is_found_and_the_entry_remade(data_dir: Path, name: str) -> None:
    make = Maker()
    use(make)
    path = data_dir / "toy" / name
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 4]) + good[position + 1 :])
        use(make)
        assert make.calls == position + 2
        assert path.read_bytes() == good


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"x.npy": 1, "y.npy": 2}'])
def test_damaged_sidecar_is_remade(data_dir: Path, content: bytes) -> None:
    make = Maker()
    use(make)
    (data_dir / "toy" / cache.SIDECAR).write_bytes(content)
    assert check("toy") == "wrong"
    use(make)
    assert (make.calls, check("toy")) == (2, "ok")


@pytest.mark.parametrize("name", [*cache.ARRAY_FILES, cache.SIDECAR])
def test_absent_file_is_remade(data_dir: Path, name: str) -> None:
    make = Maker()
    use(make)
    (data_dir / "toy" / name).unlink()
    use(make)
    assert (make.calls, check("toy")) == (2, "ok")


def test_an_entry_that_is_not_what_was_expected_is_remade() -> None:
    prepared("toy", lambda: (X + 1, Y))
    make = Maker()
    x, _ = prepared("toy", make, expected=lambda arrays: bool((arrays[0] == X).all()))
    np.testing.assert_array_equal(x, X)
    prepared("toy", make, expected=lambda arrays: bool((arrays[0] == X).all()))
    assert make.calls == 1


def test_pickles_are_never_loaded(data_dir: Path) -> None:
    make = Maker()
    use(make)
    # A whole entry of somebody else's making, hashes and all.
    np.save(data_dir / "toy" / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    hashes = {name: hashlib.sha256((data_dir / "toy" / name).read_bytes()).hexdigest() for name in cache.ARRAY_FILES}
    (data_dir / "toy" / cache.SIDECAR).write_text(json.dumps(hashes))
    use(make)
    assert make.calls == 2


def test_a_directory_that_cannot_be_written_is_no_error(data_dir: Path) -> None:
    data_dir.write_text("a file where the directory should be: permission bits do not stop root")
    make = Maker()
    use(make)
    use(make)
    assert make.calls == 2
    assert check("toy") == "missing"


def test_a_read_only_directory_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    use(make)

    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(cache, "write_atomically", refuse)
    use(make)
    assert make.calls == 1
    prepared("other", make)
    prepared("other", make)
    assert make.calls == 3


def test_racing_processes_all_get_the_right_arrays(data_dir: Path) -> None:
    script = """
import pathlib, sys
import numpy as np
from nnlab.data.cache import data_dir, prepared
x, y = np.arange(3000.0).reshape(-1, 3), np.arange(1000)
for turn in range(60):
    if turn % 7 == int(sys.argv[1]):  # each of them also breaks the entry now and then
        (data_dir() / "race").mkdir(parents=True, exist_ok=True)
        (data_dir() / "race" / ("x.npy", "y.npy", "sha256.json")[turn % 3]).write_bytes(b"broken")
    a, b = prepared("race", lambda: (x, y))
    assert (a == x).all() and (b == y).all()
"""
    racers = [subprocess.Popen([sys.executable, "-W", "error", "-c", script, str(i)]) for i in range(4)]
    assert [racer.wait(timeout=60) for racer in racers] == [0] * 4
    prepared("race", lambda: (X, Y))
    assert check("race") == "ok"
    assert len(list((data_dir / "race").iterdir())) == 3


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")

    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_data_dir_is_absolute_and_knows_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNLAB_DATA_DIR", "here")
    assert data_dir() == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NNLAB_DATA_DIR", "~/there")
    assert data_dir() == tmp_path / "there"


def test_data_dir_without_the_variable_is_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    monkeypatch.setenv("NNLAB_DATA_DIR", "")
    assert data_dir() == pooch.os_cache("nnlab")
