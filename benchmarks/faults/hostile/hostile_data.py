"""Hostile data: tables and arrays that somebody gave, and what lies in a data directory that is shared."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np

from benchmarks.faults.hostile import scene as at
from benchmarks.faults.hostile.hostile_case import Hostile, csv, npz, train
from benchmarks.faults.hostile.hostile_checkpoints import Bomb, header, npy, shaped
from benchmarks.faults.hostile.scene import Scene

_GOOD = b"a,kind\n" + b"1,x\n2,y\n" * 5
_MANY = 300_000

_TABLES: dict[str, bytes] = {
    "columns by the hundred thousand": b",".join(b"c%d" % n for n in range(_MANY)) + b"\n",
    "a cell of 50 MB": b"a,kind\n" + b"1" * 50_000_000 + b",x\n",
    "a quote that never ends": b'a,kind\n"' + b"1,x\n" * 1_000_000,
    "a formula": b"a,kind\n=cmd|' /C calc'!A0,x\n1,y\n",
    "null bytes": b"a,kind\n\0,x\n1,y\n",
    "escape sequences": b"\x1b[2Ja,kind\n\x1b]0;x\x07,x\n1,y\n",
    "a pickle": b"\x80\x04\x95" + b"\0" * 50,
    "packed": gzip.compress(_GOOD),
    "a zip": b"PK\x03\x04" + b"\0" * 50,
    "a number of a million digits": b"a,kind\n" + b"9" * 1_000_000 + b",x\n1,y\n",
    "an exponent of a million digits": b"a,kind\n1e" + b"9" * 1_000_000 + b",x\n1,y\n",
}


def cases() -> Iterator[Hostile]:
    """Yield them."""
    for name, content in _TABLES.items():
        yield Hostile(f"csv: {name}", _data(content), (csv,))
    yield Hostile("csv: a line of 100 GB", lambda scene: at.sparse(scene.data, 100 * 2**30, b"a,kind\n"), (csv,))
    yield Hostile("csv: a line of 3 GB", lambda scene: at.sparse(scene.data, 3 * 2**30, b"a,kind\n"), (csv,))
    for name, make in _ARCHIVES.items():
        yield Hostile(f"npz: {name}", _made(make), (npz,))
    for door in (csv, npz):
        kind = door.__name__
        yield Hostile(f"{kind}: named pipe", lambda scene: at.pipe(scene.data), (door,))
        yield Hostile(f"{kind}: endless device", lambda scene: at.link(scene.data, "/dev/zero"), (door,))
        yield Hostile(f"{kind}: folder", lambda scene: scene.data.mkdir(), (door,))
        yield Hostile(f"{kind}: link to itself", lambda scene: at.link(scene.data, scene.data), (door,))
    for name, spoil in _CACHES.items():
        yield Hostile(f"data directory: {name}", _cache(spoil), (train,), is_refused=False)
    for name, content in _IDX.items():
        yield Hostile(f"data directory: mnist of {name}", _mnist(content), (_train_mnist,))


def _zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def _lying_zip() -> bytes:
    """Return an archive whose directory says that a gigabyte of zeros is a hundred bytes."""
    bomb = _zip(x=shaped("(268435456,)") + bytes(2**30), y=npy(np.zeros(9)))
    at_directory = bomb.index(b"PK\x01\x02")
    return bomb[: at_directory + 24] + struct.pack("<I", 100) + bomb[at_directory + 28 :]


_X = npy(np.ones((9, 2)))
_ARCHIVES: dict[str, Callable[[Scene], bytes]] = {
    "objects": lambda scene: _zip(x=_X, y=npy(np.array([Bomb(str(scene.canary))] * 9, dtype=object))),
    "objects as x": lambda scene: _zip(x=npy(np.array([[Bomb(str(scene.canary))]] * 9, dtype=object)), y=_X),
    "a pickle in place of an archive": lambda scene: pickle.dumps(Bomb(str(scene.canary))),
    "a pickle as a member": lambda scene: _zip(x=pickle.dumps(Bomb(str(scene.canary))), y=_X),
    "a claim of terabytes": lambda _: _zip(x=shaped("(10000000000000, 2)"), y=_X),
    "a bomb that lies about its size": lambda _: _lying_zip(),
    "code in the header": lambda scene: _zip(x=header(f"__import__('os').mkdir('{scene.canary}')\n".encode()), y=_X),
    "a nested header": lambda _: _zip(x=header(b"(" * 60000), y=_X),
    "names that lead out": lambda _: _zip(**{"../../x": _X, "/etc/y": _X}),
    "100,000 members": lambda _: _zip(**{f"a{n}": b"" for n in range(20_000)}),
    "records": lambda _: _zip(x=npy(np.zeros(9, [("a", "f4"), ("b", "O")])), y=_X),
    "unknown compression": lambda _: _zip(x=_X, y=_X).replace(b"\x08\x00", b"\x63\x00"),
    "nothing but an end": lambda _: b"PK\x05\x06" + b"\0" * 18,
}


def _entry(folder: Path, x: bytes, y: bytes) -> None:
    """Put arrays into the data directory, with hashes that are right."""
    contents = {"x.npy": x, "y.npy": y}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hashes = {name: sha256(content).hexdigest() for name, content in contents.items()}
    (folder / "sha256.json").write_text(json.dumps(hashes))


_CACHES: dict[str, Callable[[Path, Scene], object]] = {
    "objects": lambda folder, scene: _entry(folder, npy(np.array([Bomb(str(scene.canary))], dtype=object)), _X),
    "other numbers": lambda folder, _: _entry(folder, npy(np.ones((178, 13))), npy(np.zeros(178, np.int64))),
    "a claim of terabytes": lambda folder, _: _entry(folder, shaped("(10000000000000,)"), _X),
    "nested hashes": lambda folder, _: (folder / "sha256.json").write_bytes(b"[" * 1_000_000),
    "hashes that are a list": lambda folder, _: (folder / "sha256.json").write_text("[1]"),
    "named pipe as x.npy": lambda folder, _: at.pipe(folder / "x.npy"),
    "named pipe as sha256.json": lambda folder, _: at.pipe(folder / "sha256.json"),
    "endless device as y.npy": lambda folder, _: at.link(folder / "y.npy", "/dev/zero"),
    "a terabyte as x.npy": lambda folder, _: at.sparse(folder / "x.npy", 2**40),
}


def _cache(spoil: Callable[[Path, Scene], object]) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        folder = scene.folder / "data" / "wine"
        at.remove(folder)
        folder.mkdir(parents=True)
        _entry(folder, _X, _X)
        spoil(folder, scene)

    return make


_IDX: dict[str, bytes] = {
    "unimaginable images": b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "a bomb": gzip.compress(bytes(200 * 2**20), 9),
    "a bomb in a bomb": gzip.compress(gzip.compress(bytes(200 * 2**20))),
}


def _mnist(content: bytes) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        folder = scene.folder / "data" / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (folder / f"{part}-ubyte").write_bytes(content)

    return make


def _train_mnist(scene: Scene) -> list[str]:
    return [*train(scene), "dataset=mnist"]


def _data(content: bytes) -> Callable[[Scene], object]:
    return lambda scene: scene.data.write_bytes(content)


def _made(make: Callable[[Scene], bytes]) -> Callable[[Scene], object]:
    return lambda scene: scene.data.write_bytes(make(scene))
