import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab import checkpoint
from nnlab.errors import NnlabError

ARRAYS: dict[str, NDArray[Any]] = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.zeros(2, np.float32),
    "optimizer.step": np.array(7, np.int64),
}
MANIFEST = {"epoch": 12, "step": 34, "best": {"epoch": 3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = tmp_path / "checkpoints" / "epoch-000012"
    checkpoint.write(result, ARRAYS, MANIFEST)
    return result


def seal(folder: Path, manifest: object) -> None:
    """Replace a checkpoint's manifest by one that is damaged in no way, only wrong."""
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text).hexdigest())


def add_file(folder: Path, name: str, content: bytes, shape: list[int], dtype: str) -> None:
    """Put a file into a checkpoint, in agreement with its manifest."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = {"shape": shape, "dtype": dtype, "sha256": hashlib.sha256(content).hexdigest()}
    seal(folder, manifest)


def assert_refused(folder: Path, match: str) -> None:
    with pytest.raises(NnlabError, match=match) as refused:
        checkpoint.read(folder)
    assert "\n" not in str(refused.value)
    assert checkpoint.problems(folder) == str(refused.value)


def test_plain_numpy_reads_the_files_by_name(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.npy" for name in ARRAYS),
        "manifest.json",
        "manifest.sha256",
    }
    for name, array in ARRAYS.items():
        loaded = np.load(folder / f"{name}.npy", allow_pickle=False)
        assert loaded.dtype == array.dtype
        np.testing.assert_array_equal(loaded, array)


def test_the_manifest_says_what_is_in_the_files(folder: Path) -> None:
    text = (folder / "manifest.json").read_bytes()
    manifest = json.loads(text)
    assert (folder / "manifest.sha256").read_text() == hashlib.sha256(text).hexdigest()
    files = manifest.pop("files")
    assert manifest == MANIFEST
    assert files["0.weight.npy"]["shape"] == [2, 3]
    assert files["optimizer.step.npy"]["dtype"] == "int64"
    for name, entry in files.items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_what_is_written_is_read(folder: Path) -> None:
    arrays, manifest = checkpoint.read(folder)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert {key: manifest[key] for key in MANIFEST} == MANIFEST
    assert checkpoint.problems(folder) is None


def test_every_flipped_byte_of_every_file_is_detected(tmp_path: Path) -> None:
    folder = tmp_path / "epoch-000000"
    checkpoint.write(folder, {"0.bias": np.ones(1, np.float32)}, {"epoch": 0})
    flips = 0
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert checkpoint.problems(folder), f"byte {place} of {path.name}"
            flips += 1
        path.write_bytes(content)
    assert flips > 300
    assert checkpoint.problems(folder) is None


@pytest.mark.parametrize("name", ["0.weight.npy", "manifest.json", "manifest.sha256"])
def test_truncated_and_missing_files_are_named(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert_refused(folder, "manifest.json is damaged" if "manifest" in name else r"0\.weight\.npy is damaged")
    path.unlink()
    assert_refused(folder, name.replace(".", r"\."))


def test_renamed_and_extra_arrays_are_named(folder: Path) -> None:
    shutil.copy(folder / "0.bias.npy", folder / "2.bias.npy")
    assert_refused(folder, r"manifest does not name: 2\.bias\.npy")
    (folder / "0.bias.npy").unlink()
    assert_refused(folder, r"2\.bias\.npy")


def test_two_files_that_were_swapped_are_detected(folder: Path) -> None:
    (folder / "0.bias.npy").rename(folder / "other")
    (folder / "0.weight.npy").rename(folder / "0.bias.npy")
    (folder / "other").rename(folder / "0.weight.npy")
    assert_refused(folder, "is damaged")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_pickles_are_refused_even_where_every_hash_is_right(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    add_file(folder, "0.bias.npy", buffer.getvalue(), [1], "object")
    assert_refused(folder, r"0\.bias\.npy is no array of numbers")
    assert not Path("exploded").exists()


def test_an_archive_under_the_name_of_an_array_is_refused(folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(1))
    add_file(folder, "0.bias.npy", buffer.getvalue(), [1], "float64")
    assert_refused(folder, r"0\.bias\.npy is no array of numbers")


def test_another_shape_or_dtype_than_the_manifests_is_refused(folder: Path) -> None:
    content = (folder / "0.weight.npy").read_bytes()
    add_file(folder, "0.weight.npy", content, [3, 2], "float32")
    assert_refused(folder, r"is float32 \[2, 3\], the manifest says otherwise")
    add_file(folder, "0.weight.npy", content, [2, 3], "float64")
    assert_refused(folder, "the manifest says otherwise")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".."])  # noqa: S108
def test_names_that_lead_out_of_the_folder_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    np.save(folder.parent / "evil.npy", np.zeros(1))
    files = {f"{name}.npy" if name != ".." else "..": {"shape": [1], "dtype": "float64", "sha256": "0" * 64}}
    seal(folder, {**MANIFEST, "files": files})
    assert_refused(folder, "is not the name of a file in it")
    if name != "..":
        with pytest.raises(NnlabError, match="is not the name of a file in it"):
            checkpoint.write(tmp_path / "epoch-000001", {name: np.zeros(1)}, {})
        assert not (tmp_path / "epoch-000001").exists()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_valid_one_is_kept_and_a_damaged_one_replaced(folder: Path) -> None:
    before = snapshot(folder)
    checkpoint.write(folder, {"0.bias": np.ones(9)}, {"epoch": 12, "step": 99})
    assert snapshot(folder) == before

    (folder / "0.bias.npy").write_bytes(b"")
    checkpoint.write(folder, {"0.bias": np.ones(9)}, {"epoch": 12, "step": 99})
    arrays, manifest = checkpoint.read(folder)
    assert arrays.keys() == {"0.bias"}
    assert manifest["step"] == 99


def test_wherever_the_disk_fails_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints" / "epoch-000012"
    real = os.fsync
    for good in range(100):
        calls = iter(range(good))

        def fsync(fd: int, calls: Any = calls) -> None:
            if next(calls, None) is None:
                raise OSError(28, "No space left on device")
            real(fd)

        with monkeypatch.context() as failing:
            failing.setattr(os, "fsync", fsync)
            try:
                checkpoint.write(folder, ARRAYS, MANIFEST)
            except OSError:
                assert list(folder.parent.iterdir()) == []
            else:
                break
    assert good == len(ARRAYS) + 4  # one for each file, one for the folder and one for the folder around it
    assert checkpoint.problems(folder) is None


KILLED_AT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from nnlab import checkpoint
calls, real = 0, {name: getattr(os, name) for name in ("fsync", "rename")}
def counting(name):
    def call(*arguments, **keywords):
        global calls
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return real[name](*arguments, **keywords)
    return call
for name in real:
    setattr(os, name, counting(name))
checkpoint.write(Path(sys.argv[1]), {"0.bias": np.ones(4), "0.weight": np.ones((4, 4))}, {"epoch": 1})
"""


def killed_at(folder: Path, call: int) -> int:
    return subprocess.run([sys.executable, "-c", KILLED_AT, folder, str(call)], check=False).returncode


def test_kill_9_in_the_middle_leaves_none_or_a_whole_one_and_the_next_writer_is_not_disturbed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "epoch-000001"
    states = []
    for call in (0, 2, 4, 5, 6):  # at a file, the manifest, the folder, the renaming, behind it
        code = killed_at(folder, call)
        states.append(folder.exists())
        if folder.exists():
            assert checkpoint.problems(folder) is None
            assert checkpoint.find(tmp_path) == folder
        else:
            assert code == -9
            with pytest.raises(NnlabError, match="holds no checkpoint"):
                checkpoint.find(tmp_path)
    assert states == [False, False, False, False, True]


def test_removing_leaves_nothing_under_the_name_or_beside_it(folder: Path) -> None:
    leftover = folder.with_name(f".{folder.name}.tmp")
    leftover.mkdir()
    (leftover / "0.bias.npy").touch()  # of a writer that was killed
    checkpoint.remove(folder)
    assert list(folder.parent.iterdir()) == []


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for epoch in (0, 3, 999_999, 1_000_000):
        folder = tmp_path / "run" / "checkpoints" / checkpoint.name(epoch)
        checkpoint.write(folder, {}, {"epoch": epoch, "best": {"epoch": 3}})
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("which", "found"), [("last", "epoch-1000000"), ("best", "epoch-000003"), ("0", "epoch-000000")]
)
def test_find(run: Path, which: str, found: str) -> None:
    assert checkpoint.find(run, which) == run / "checkpoints" / found
    assert checkpoint.find(run / "checkpoints" / found, "last") == run / "checkpoints" / found


def test_what_is_not_found_is_said_with_what_there_is(run: Path, tmp_path: Path) -> None:
    for which in ("5", "bets", "-1", "../0"):
        with pytest.raises(NnlabError, match=r"choose last, best or an epoch of 0, 3, 999999, 1000000$"):
            checkpoint.find(run, which)
    checkpoint.write(tmp_path / "other" / "checkpoints" / "epoch-000000", {}, {"epoch": 0})
    with pytest.raises(NnlabError, match="holds no checkpoint 'best'"):  # without a validation part there is none
        checkpoint.find(tmp_path / "other", "best")
    with pytest.raises(NnlabError, match=r"there is no checkpoints/epoch-\.\.\. in it"):
        checkpoint.find(tmp_path / "nothing")
    with pytest.raises(NnlabError, match=r"there is no manifest\.json in it"):
        checkpoint.read(tmp_path)
