"""Hostile checkpoints: every hash in them is right, whatever else is not."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.hostile import scene as at
from benchmarks.faults.hostile.hostile_case import Hostile, evaluate, load, resume, start_from
from benchmarks.faults.hostile.scene import Scene

_DOORS = (load, evaluate)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def npy(array: Any) -> bytes:
    """Return an array as a file, objects in it pickled."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(text: bytes) -> bytes:
    """Return the head of a .npy file."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def shaped(shape: str) -> bytes:
    """Return a .npy file that claims a shape, and holds nothing."""
    return header(b"{'descr': '<f4', 'fortran_order': False, 'shape': " + shape.encode() + b"}\n")


_ARRAYS: dict[str, Callable[[Scene], bytes]] = {
    "objects": lambda scene: npy(np.array([Bomb(str(scene.canary))] * 3, dtype=object)),
    "a bare pickle": lambda scene: pickle.dumps(Bomb(str(scene.canary))),
    "a torch file's pickle": lambda scene: b"PK\x03\x04" + pickle.dumps(Bomb(str(scene.canary))),
    "a claim of terabytes": lambda _: shaped("(10000000000000,)"),
    "a claim beyond 64 bits": lambda _: shaped("(4611686018427387904, 4611686018427387904)"),
    "a negative shape": lambda _: shaped("(-1, -3)"),
    "a million dimensions": lambda _: shaped("(" + "1," * 20000 + ")"),
    "code in the header": lambda scene: header(f"{{'descr': __import__('os').mkdir('{scene.canary}')}}\n".encode()),
    "a nested header": lambda _: header(b"(" * 60000),
    "text": lambda _: npy(np.array(["a", "b", "c"])),
    "NaN": lambda _: npy(np.full(3, np.nan, np.float32)),
}
_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a name that leads out": lambda node: node["files"].update({"../../../../x.npy": node["files"]["0.bias.npy"]}),
    "an absolute name": lambda node: node["files"].update({"/etc/passwd": node["files"]["0.bias.npy"]}),
    "a name with a null byte": lambda node: node["files"].update({"a\0.npy": node["files"]["0.bias.npy"]}),
    "a name with an escape sequence": lambda node: node["files"].update({"\x1b[2J.npy": node["files"]["0.bias.npy"]}),
    "a function of the system": lambda node: node["network"]["activation"].update(_target_="os.mkdir"),
    "a shipped module's NumPy": lambda node: node["network"]["activation"].update(_target_="nnlab.nn.linear.np.save"),
    "an unimaginable network": lambda node: node["network"]["architecture"].update(hidden_sizes=[10**9] * 9),
    "a million layers": lambda node: node["network"]["architecture"].update(hidden_sizes=[1] * 1_000_000),
    "unimaginable inputs": lambda node: node["network"].update(in_features=10**40),
    "a number in place of a network": lambda node: node.update(network=1),
    "a billion classes' worth of nonsense": lambda node: node.update(class_names=[1] * 100_000),
}
_STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a generator of another kind": lambda node: node["random_states"]["dropout"].update(bit_generator="os.system"),
    "a generator's state of nonsense": lambda node: node["random_states"].update(dropout={"state": [1]}),
    "no generators": lambda node: node.update(random_states=3),
    "a step of nonsense": lambda node: node.update(step="many"),
    "a negative step": lambda node: node.update(step=-5),
    "an epoch of nonsense": lambda node: node.update(epoch=10**30),
    "needs of nonsense": lambda node: node.update(needs=[{}]),
    "the best of nonsense": lambda node: node.update(best={"epoch": "x"}),
    "early stopping of nonsense": lambda node: node.update(early_stopping={"best": {}}),
}


def cases() -> Iterator[Hostile]:
    """Yield them."""
    for name, content in _ARRAYS.items():
        doors = (*_DOORS, start_from)
        yield Hostile(f"checkpoint: array of {name}", _array(content), doors)
    for name, change in _MANIFESTS.items():
        yield Hostile(f"checkpoint: {name}", _manifest(change), _DOORS)
    for name, change in _STATES.items():
        yield Hostile(f"checkpoint, to be resumed: {name}", _interrupted(change), (resume,), is_refused=False)
    for name, text in {
        "nested": b"[" * 100_000,
        "nested mappings": b'{"a":' * 50_000,
        "a long number": b'{"epoch": ' + b"9" * 5000 + b"}",
        "no JSON": b"\xff\xfe",
    }.items():
        yield Hostile(f"checkpoint: manifest {name}", _manifest_text(text), _DOORS)
    for name in ("manifest.json", "manifest.sha256", "0.bias.npy"):
        yield Hostile(f"checkpoint: named pipe as {name}", _in_checkpoint(at.pipe, name), _DOORS)
        yield Hostile(
            f"checkpoint: endless device as {name}",
            _in_checkpoint(at.endless, name),
            _DOORS,
        )
        yield Hostile(
            f"checkpoint: a terabyte as {name}",
            _in_checkpoint(at.terabyte, name),
            _DOORS,
        )
    yield Hostile("checkpoint: a name of another case twice", _doubles, _DOORS)
    yield Hostile("checkpoints: link to elsewhere", _elsewhere, (resume,), is_refused=False)
    yield Hostile("checkpoints: an epoch beyond all numbers", _far, (load, evaluate, resume), is_refused=False)


def _interrupted(change: Callable[[dict[str, Any]], object]) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        scene.interrupt()
        scene.set_manifest(change)

    return make


def _doubles(scene: Scene) -> None:
    content = (scene.checkpoint / "0.bias.npy").read_bytes()
    (scene.checkpoint / "0.BIAS.npy").write_bytes(content)
    scene.set_manifest(lambda node: node["files"].update({"0.BIAS.npy": node["files"]["0.bias.npy"]}))


def _elsewhere(scene: Scene) -> None:
    """Let what is written next to the checkpoints be written among the user's own files."""
    scene.interrupt()
    (scene.run / "checkpoints").rename(scene.secret.parent / "checkpoints")
    (scene.run / "checkpoints").symlink_to(scene.secret.parent / "checkpoints")


def _far(scene: Scene) -> None:
    (scene.run / "checkpoints" / f"epoch-{'9' * 200}").mkdir()
    (scene.run / "checkpoints" / "epoch-²").mkdir()


def _array(content: Callable[[Scene], bytes]) -> Callable[[Scene], object]:
    return lambda scene: scene.set_array(content(scene))


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Scene], object]:
    return lambda scene: scene.set_manifest(change)


def _manifest_text(text: bytes) -> Callable[[Scene], object]:
    return lambda scene: scene.write_manifest(text)


def _in_checkpoint(spoil: Callable[[Path], object], name: str) -> Callable[[Scene], object]:
    return lambda scene: spoil(scene.checkpoint / name)
