"""Damages: what a disk, a tool or somebody may do to a checkpoint, a byte or a file at a time."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MANIFEST, _SEAL = "manifest.json", "manifest.sha256"


@dataclass(frozen=True)
class Bytes:
    """Something done to the bytes of one file.

    Attributes:
        file: its name.
        what: ``cut``, ``flip``, ``set`` or ``append``.
        place: which byte; of what is appended, how many.
        value: for ``flip`` the bit, for ``set`` and ``append`` the byte.
    """

    file: str
    what: str
    place: int
    value: int = 0

    def of(self, whole: bytes) -> bytes:
        """Return what becomes of a file's content."""
        match self.what:
            case "cut":
                return whole[: self.place]
            case "append":
                return whole + bytes([self.value]) * self.place
        byte = whole[self.place] ^ (1 << self.value) if self.what == "flip" else self.value
        return whole[: self.place] + bytes([byte]) + whole[self.place + 1 :]


def of_bytes(folder: Path, draw: random.Random) -> list[Bytes]:
    """Return every length that each file of a checkpoint can be cut to, and for each byte a bit and another value."""
    found = []
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place, byte in enumerate(whole):
            found += [
                Bytes(path.name, "cut", place),
                Bytes(path.name, "flip", place, draw.randrange(8)),
                Bytes(path.name, "set", place, 0xFF if byte != 0xFF else 0),
            ]
        found += [Bytes(path.name, "append", count, ord("\n")) for count in (1, 2, 100)]
        found.append(Bytes(path.name, "append", 1, 0))
    return found


Act = Callable[[Path], Path | None]
"""Takes a checkpoint's folder; gives the folder to ask about, where that is another one."""


def of_files(folder: Path, other: Path, older: Path) -> Mapping[str, Act]:
    """Return what may be done to whole files, by a name for people.

    Args:
        folder: the checkpoint, or one just like it.
        other: the checkpoint of the same epoch of a run with another seed.
        older: an older checkpoint of the same run.
    """
    acts: dict[str, Act] = {f"{path.name} missing": _missing(path.name) for path in sorted(folder.iterdir())}
    for path in sorted(folder.glob("*.npy")):
        if path.read_bytes() != (other / path.name).read_bytes():
            acts[f"{path.name} of another run"] = _copied(other, path.name)
    return acts | {
        "a file in upper case": lambda at: _renamed(at, "0.weight.npy", "0.WEIGHT.npy"),
        "a file of another layer's name": lambda at: _renamed(at, "0.weight.npy", "1.weight.npy"),
        "the manifest in upper case": lambda at: _renamed(at, _MANIFEST, "MANIFEST.json"),
        "two weights of one shape swapped": lambda at: _swapped(at, "2.weight.npy", "4.weight.npy"),
        "a bias and its optimiser's array swapped": lambda at: _swapped(
            at, "2.bias.npy", next(each.name for each in at.glob("optimizer.*.2.bias.npy"))
        ),
        "a further array": lambda at: _written(at / "9.weight.npy", (at / "0.weight.npy").read_bytes()),
        "a further text": lambda at: _written(at / "notes.txt", b"the best one"),
        "a further hidden file": lambda at: _written(at / ".hidden", b""),
        "a further pickle": lambda at: _written(at / "data.pkl", b"\x80\x04."),
        "a further folder": lambda at: (at / "more").mkdir(),
        "a folder in place of a file": _put("0.bias.npy", Path.mkdir),
        "a link to a copy in place of a file": lambda at: _linked(at, "0.bias.npy"),
        "a link to a copy in place of the manifest": lambda at: _linked(at, _MANIFEST),
        "a link that leads nowhere": _put("0.bias.npy", lambda path: path.symlink_to("x")),
        "manifest and seal of an older one": lambda at: _copied_all(older, at, _MANIFEST, _SEAL),
        "an older one in its place": lambda at: _replaced(at, older),
        "that of another run in its place": lambda at: _replaced(at, other),
        "renamed to a later epoch": lambda at: _at_epoch(at, 8, is_copy=False),
        "copied to a later epoch": lambda at: _at_epoch(at, 7, is_copy=True),
        "renamed to a shorter number": lambda at: at.rename(at.with_name("epoch-6")),
        "renamed in upper case": lambda at: at.rename(at.with_name(at.name.upper())),
        "empty": lambda at: _replaced(at, None),
        "gone": lambda at: shutil.rmtree(at),
        "a file in its place": lambda at: _instead(at, Path.touch),
        "a link to an older one in its place": lambda at: _instead(at, lambda path: path.symlink_to(older.name)),
        "seal with a line break": lambda at: _written(at / _SEAL, (at / _SEAL).read_bytes() + b"\n"),
        "seal in upper case": lambda at: _written(at / _SEAL, (at / _SEAL).read_bytes().upper()),
        "manifest with a line break, sealed": lambda at: _sealed(at, (at / _MANIFEST).read_bytes() + b"\n"),
        "manifest written in another way, sealed": lambda at: _sealed(
            at, json.dumps(json.loads((at / _MANIFEST).read_bytes())).encode()
        ),
        "another step, sealed": lambda at: _edited(at, step=1),
        "another epoch, sealed": lambda at: _edited(at, epoch=4),
        "another best epoch, sealed": lambda at: _edited(at, best={"epoch": 0}),
        "another seed, sealed": lambda at: _edited(at, seed=99),
        "one weight changed, every hash made anew": _forged,
    }


def _missing(name: str) -> Act:
    return lambda at: (at / name).unlink()


def _copied(source: Path, name: str) -> Act:
    return lambda at: _written(at / name, (source / name).read_bytes())


def _copied_all(source: Path, at: Path, *names: str) -> None:
    for name in names:
        shutil.copy(source / name, at / name)


def _put(name: str, make: Callable[[Path], object]) -> Act:
    def act(at: Path) -> None:
        (at / name).unlink()
        make(at / name)

    return act


def _instead(at: Path, make: Callable[[Path], object]) -> None:
    shutil.rmtree(at)
    make(at)


def _written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _renamed(at: Path, name: str, new: str) -> None:
    (at / name).rename(at / new)


def _swapped(at: Path, one: str, other: str) -> None:
    first, second = ((at / name).read_bytes() for name in (one, other))
    (at / one).write_bytes(second)
    (at / other).write_bytes(first)


def _linked(at: Path, name: str) -> None:
    away = at.parents[1] / "away"
    (at / name).rename(away)
    (at / name).symlink_to(away)


def _replaced(at: Path, source: Path | None) -> None:
    shutil.rmtree(at)
    if source is None:
        at.mkdir()
    else:
        shutil.copytree(source, at)


def _at_epoch(at: Path, epoch: int, *, is_copy: bool) -> Path:
    target = at.with_name(f"epoch-{epoch:06d}")
    if is_copy:
        shutil.copytree(at, target)
    else:
        at.rename(target)
    return target


def _sealed(at: Path, text: bytes) -> None:
    (at / _MANIFEST).write_bytes(text)
    (at / _SEAL).write_text(hashlib.sha256(text).hexdigest())


def _edited(at: Path, **values: object) -> None:
    manifest = json.loads((at / _MANIFEST).read_bytes()) | values
    _sealed(at, json.dumps(manifest, indent=2, sort_keys=True).encode())


def _forged(at: Path) -> None:
    array = np.load(at / "0.weight.npy")
    array.flat[0] += 1
    np.save(at / "0.weight.npy", array)
    files = json.loads((at / _MANIFEST).read_bytes())["files"]
    files["0.weight.npy"]["sha256"] = hashlib.sha256((at / "0.weight.npy").read_bytes()).hexdigest()
    _edited(at, files=files)
