"""Somebody else's checkpoints and arrays: refused in one line, none of them run, none waited for."""

import copy
import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab import checkpoint
from nnlab.build import build
from nnlab.config import Config
from nnlab.errors import NnlabError
from tests.jobs import job

Manifest = dict[str, Any]


class Bomb:
    """Leaves a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(descr: Any, shape: tuple[int, ...], data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def raw_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


PICKLE = npy(np.array([Bomb(), 1], dtype=object))

ARRAYS = {
    "pickle": (PICKLE, "holds Python objects, which are not loaded: they are pickled, and a pickle can run any code"),
    "objects in a record": (npy(np.array([(1, Bomb())], dtype=[("a", "i4"), ("b", "O")])), "holds Python objects"),
    "bare pickle": (b"\x80\x04\x95", "is no array of numbers"),
    "archive": (b"PK\x03\x04", "is no array of numbers"),
    "empty": (b"", "is no array of numbers"),
    "text": (npy(np.array(["a"])), "is no array of numbers but of <U1"),
    "records": (npy(np.zeros(1, [("a", "f4")])), "is no array of numbers but of"),
    "dates": (npy(np.zeros(1, "M8[s]")), "is no array of numbers but of"),
    "complex": (npy(np.zeros(1, complex)), "is no array of numbers but of complex128"),
    "promised terabytes": (header("<f4", (2**45,)), "is damaged: its header promises"),
    "promised more than 64 bits": (header("<f4", (2**62, 2**62)), "no file has an array of the shape"),
    "negative shape": (header("<f4", (-1, -2), b"\0" * 8), "is no array of numbers"),
    "short": (npy(np.zeros(9))[:-8], "is damaged: its header promises"),
    "long": (npy(np.zeros(9)) + b"x", "is damaged: its header promises"),
    "nested header": (raw_header(b"(" * 9000), "is no array of numbers"),
    "long header": (raw_header(b" " * 60000), "is no array of numbers"),
    "code in the header": (raw_header(b"{'descr': __import__('os').mkdir('exploded')}\n"), "is no array of numbers"),
    "strange descr": (raw_header(b"{'descr': (), 'fortran_order': False, 'shape': (1,)}\n"), "is no array of numbers"),
    "huge number": (
        raw_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b",)}\n"),
        "is no array",
    ),
}


@pytest.fixture(scope="module")
def linear() -> Config:
    """A model whose parameters are 0.weight [3, 13] and 0.bias [3]."""
    config: Config = job("architecture=linear").config
    return config


def starting_from(config: Config, folder: str | Path) -> Config:
    return config.model_copy(update={"initializer": config.initializer.model_copy(update={"from_": str(folder)})})


@pytest.fixture(autouse=True)
def promptly(tmp_path: Path) -> Iterator[None]:
    """End a test that waits for something that never comes."""

    def late(*_: object) -> None:
        raise TimeoutError("10 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert not Path("exploded").exists()


def saved(folder: Path, files: dict[str, bytes], manifest: Manifest) -> Path:
    """Write a checkpoint in which every hash is right, whatever else is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text).hexdigest())
    return folder


def good() -> tuple[dict[str, bytes], Manifest]:
    """Return a checkpoint's files and manifest: 2 inputs, 3 hidden units, 2 outputs."""
    shapes = {"0.weight": (3, 2), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,), "input.mean": (2,)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    arrays["input.std"] = np.ones(2, np.float32)
    files = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    identity = {"_target_": "nnlab.nn.activations.Identity"}
    network = {
        "in_features": 2,
        "out_features": 2,
        "architecture": {
            "_target_": "nnlab.nn.architectures.mlp",
            "hidden_sizes": [3],
            "batch_norm": False,
            "dropout": 0.0,
            "output_activation": identity,
            "out_features": None,
            "activations": {},
        },
        "activation": {"_target_": "nnlab.nn.activations.Tanh"},
        "dtype": "float32",
    }
    entries = {
        f"{name}.npy": entry(files[f"{name}.npy"], list(array.shape), array.dtype.name)
        for name, array in arrays.items()
    }
    return files, {"files": entries, "epoch": 1, "network": network, "class_names": ["a", "b"]}


def entry(content: bytes, shape: list[int], dtype: str) -> Manifest:
    return {"shape": shape, "dtype": dtype, "sha256": hashlib.sha256(content).hexdigest()}


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def refusal(call: Callable[[], object], root: Path) -> str:
    before, modules = tree(root), set(sys.modules)
    with pytest.raises(NnlabError) as refused:
        call()
    message = str(refused.value)
    assert tree(root) == before
    assert {name for name in set(sys.modules) - modules if not name.startswith("encodings.")} == set()  # zip's cp437
    assert message.isprintable()
    assert len(message) < 1500
    return message


def test_the_good_one_is_good(tmp_path: Path) -> None:
    network = nnlab.load(saved(tmp_path / "run", *good()))
    hidden = np.tanh(1.0 * 1 + 0.0 * 1 + 1)  # of inputs (2, 1), of which the mean of 1 is subtracted
    np.testing.assert_allclose(network.outputs([[2.0, 1.0]]), [[3 * hidden + 1] * 2], rtol=1e-6)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_a_checkpoint(name: str, tmp_path: Path) -> None:
    content, part = ARRAYS[name]
    files, manifest = good()
    nnlab.load(saved(tmp_path / "good", files, manifest))
    files["0.bias.npy"] = content
    manifest["files"]["0.bias.npy"] = entry(content, [3], "float32")
    folder = saved(tmp_path / "run", files, manifest)
    message = refusal(lambda: nnlab.load(folder), tmp_path)
    assert str(folder / "0.bias.npy") in message
    assert part in message


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_initializer_from(name: str, linear: Config, tmp_path: Path) -> None:
    content, part = ARRAYS[name]
    folder = tmp_path / "weights"
    config = starting_from(linear, folder)
    folder.mkdir()
    (folder / "0.weight.npy").write_bytes(npy(np.ones((3, 13))))
    (folder / "0.bias.npy").write_bytes(npy(np.ones(3)))
    build([config])
    (folder / "0.bias.npy").write_bytes(content)
    message = refusal(lambda: build([config]), tmp_path)
    assert message.startswith("initializer.from=")
    assert str(folder / "0.bias.npy") in message
    assert part in message


def test_pipes_devices_and_folders_under_the_name_of_an_array(linear: Config, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    config = starting_from(linear, folder)
    folder.mkdir()
    (folder / "0.weight.npy").write_bytes(npy(np.ones((3, 13))))
    place = folder / "0.bias.npy"
    makers: dict[str, Callable[[], object]] = {
        "named pipe": lambda: os.mkfifo(place),
        "a device": lambda: place.symlink_to("/dev/zero"),
        "a folder": place.mkdir,
        "symbolic links": lambda: place.symlink_to(place),
    }
    for part, make in makers.items():
        make()
        message = refusal(lambda: build([config]), tmp_path)
        assert f"{place} " in message
        assert part in message
        place.rmdir() if part == "a folder" else place.unlink()
    with place.open("wb") as file:
        file.truncate(2**40)
    assert "are not read" in refusal(lambda: build([config]), tmp_path)
    for bad in (np.full(3, np.nan), np.full(3, 1e300)):  # too large for float32
        place.write_bytes(npy(bad))
        assert "NaN or infinities to layer 0" in refusal(lambda: build([config]), tmp_path)
    nobody = starting_from(linear, "~nobody-of-this-name/x")
    assert "home directory" in refusal(lambda: build([nobody]), tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "0.bias.npy"])
def test_pipes_devices_and_folders_in_a_checkpoint(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "run", *good())
    place = folder / name
    makers: dict[str, Callable[[], object]] = {
        "named pipe": lambda: os.mkfifo(place),
        "a device": lambda: place.symlink_to("/dev/zero"),
        "a folder": place.mkdir,
    }
    for part, make in makers.items():
        place.unlink()
        make()
        message = refusal(lambda: nnlab.load(folder), tmp_path)
        assert str(folder) in message
        known = (part, "is a symbolic link", "no manifest.json", "holds no checkpoint")
        assert any(each in message for each in known)
        if part == "a folder":
            place.rmdir()


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_pipes_devices_and_folders_as_data(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**43)
    for name, part in (
        ("pipe", "is no file"),
        ("/dev/zero", "is no file"),
        ("home", "is no file"),
        ("sparse", "memory"),
    ):
        config = job(f"dataset={kind}", f"dataset.path={tmp_path / name}").config
        assert part in refusal(lambda config=config: build([config]), tmp_path)  # type: ignore[misc]


def test_pickles_in_a_users_npz(tmp_path: Path) -> None:
    objects = np.array([Bomb()] * 9, dtype=object)
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=objects)
    config = job("dataset=npz", f"dataset.path={tmp_path / 'data.npz'}").config
    message = refusal(lambda: build([config]), tmp_path)
    assert f"array 'y' of {tmp_path / 'data.npz'}" in message
    assert "pickle can run any code" in message


EVIL = {"_target_": "os.mkdir", "path": "exploded"}

MANIFESTS: dict[str, tuple[str, Any, str]] = {
    "activation": ("network.activation", EVIL, "activation._target_"),
    "output activation": ("network.architecture.output_activation", EVIL, "architecture.output_activation._target_"),
    "activations": ("network.architecture.activations", {"1": EVIL}, "architecture.activations.1._target_"),
    "architecture": ("network.architecture._target_", "os.mkdir", "architecture._target_"),
    "prefix": ("network.activation._target_", "nnlab.nn.activations.np.save", "activation._target_"),
    "another group's": ("network.activation._target_", "nnlab.nn.losses.MSE", "activation._target_"),
    "argument": ("network.activation.x", 1, "activation.x"),
    "argument's type": ("network.architecture.dropout", "x", "architecture.dropout"),
    "argument's range": ("network.architecture.dropout", 2.0, "dropout"),
    "NaN": ("network.architecture.dropout", float("nan"), "architecture.dropout"),
    "position": ("network.architecture.activations", {"../7": {"_target_": "nnlab.nn.activations.Tanh"}}, "../7"),
    "huge layer": ("network.architecture.hidden_sizes", [10**12], "memory"),
    "huger layer": ("network.architecture.hidden_sizes", [10**60], "memory"),
    "huge input": ("network.in_features", 10**13, "memory"),
    "huge output": ("network.out_features", 10**13, "memory"),
    "other layer": ("network.architecture.hidden_sizes", [4], "has shape"),
    "more layers": ("network.architecture.hidden_sizes", [3, 3], "has parameters"),
    "no layer": ("network.architecture.hidden_sizes", [0], "hidden_sizes"),
    "negative": ("network.in_features", -1, "network.in_features"),
    "boolean": ("network.in_features", True, "network.in_features"),
    "text": ("network.in_features", "2", "network.in_features"),
    "dtype": ("network.dtype", "object", "network.dtype"),
    "other dtype": ("network.dtype", "float64", "network.dtype"),
    "no network": ("network", None, "network"),
    "network is a list": ("network", [1], "network"),
    "no classes": ("class_names", 3, "class_names"),
    "classes": ("class_names", [1, 2], "class_names"),
    "epoch": ("epoch", "1", "epoch"),
    "epoch NaN": ("epoch", float("nan"), "epoch"),
    "best": ("best", "1", "best"),
    "files": ("files", [1], "files"),
    "no files": ("files", {}, "0.bias.npy"),
    "shape": ("files.0?bias?npy.shape", "3", "shape"),
    "negative shape": ("files.0?bias?npy.shape", [-3], "shape"),
    "many dimensions": ("files.0?bias?npy.shape", [1] * 100, "shape"),
    "huge shape": ("files.0?bias?npy.shape", [10**30], "shape"),
    "hash": ("files.0?bias?npy.sha256", None, "sha256"),
    "path": ("files", {"../x.npy": entry(b"", [1], "float32")}, "is not the name of a file"),
    "absolute path": ("files", {"/etc/x.npy": entry(b"", [1], "float32")}, "is not the name of a file"),
    "newline": ("files", {"a\nb.npy": entry(b"", [1], "float32")}, "is not the name of a file"),
    "null byte": ("files", {"a\0b.npy": entry(b"", [1], "float32")}, "is not the name of a file"),
    "newline in a key": ("files", {"a\nb.npy": 3}, "files.a"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests(name: str, tmp_path: Path) -> None:
    key, value, part = MANIFESTS[name]
    files, manifest = good()
    nnlab.load(saved(tmp_path / "good", files, manifest))
    changed = inside = copy.deepcopy(manifest)
    *sections, last = (section.replace("?", ".") for section in key.split("."))
    for section in sections:
        inside = inside[section]
    inside[last] = value
    folder = saved(tmp_path / "run", files, changed)
    message = refusal(lambda: nnlab.load(folder), tmp_path)
    assert str(folder) in message
    assert part in message


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"3", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000]
)
def test_manifests_that_are_none(text: bytes, tmp_path: Path) -> None:
    folder = saved(tmp_path / "run", *good())
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text).hexdigest())
    assert f"{folder / 'manifest.json'} is no manifest" in refusal(lambda: nnlab.load(folder), tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "part"),
    [
        ("input.std", np.zeros(2, np.float32), "above 0"),
        ("input.std", np.full(2, np.nan, np.float32), "finite"),
        ("input.mean", np.zeros((900, 2), np.float32), "input.mean"),
        ("input.mean", None, "belong together"),
        ("0.bias", np.zeros(3, np.float64), "0.bias is float64"),
        ("0.bias", np.zeros((3, 1), np.float32), "0.bias has shape"),
        ("0.bias", None, "has parameters"),
    ],
)
def test_arrays_that_do_not_fit_the_network(name: str, array: Any, part: str, tmp_path: Path) -> None:
    files, manifest = good()
    del files[f"{name}.npy"], manifest["files"][f"{name}.npy"]
    if array is not None:
        files[f"{name}.npy"] = npy(array)
        manifest["files"][f"{name}.npy"] = entry(files[f"{name}.npy"], list(array.shape), array.dtype.name)
    folder = saved(tmp_path / "run", files, manifest)
    assert part in refusal(lambda: nnlab.load(folder), tmp_path)


def test_names_of_checkpoints(tmp_path: Path) -> None:
    root = tmp_path / "run" / "checkpoints"
    for name in ("epoch-abc", "epoch-", "epoch-7\nx"):
        saved(root / name, *good())
    with pytest.raises(NnlabError, match="holds no checkpoint"):
        checkpoint.find(tmp_path / "run")
    saved(root / "epoch-000001", *good())
    for name in ("", "9" * 200, "2", "\N{ARABIC-INDIC DIGIT TWO}" * 6, "0000002"):
        (root / f"epoch-{name}").mkdir(exist_ok=True)
        assert checkpoint.find(tmp_path / "run") == root / "epoch-000001"
