"""Odd data: tables and arrays as people have them, and as nobody should."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLES = {
    "good": b"a,b,kind\n" + b"".join(b"%d,%d.5,%s\n" % (n, n * n % 7, b"xyz"[n % 3 :][:1]) for n in range(30)),
    "two rows": b"a,kind\n1,x\n2,y\n",
    "one row": b"a,kind\n1,x\n",
    "names alone": b"a,kind\n",
    "empty": b"",
    "a blank": b"\n",
    "one column": b"kind\nx\ny\n",
    "one class": b"a,kind\n1,x\n2,x\n3,x\n",
    "a class a row": b"a,kind\n" + b"".join(b"%d,c%d\n" % (n, n) for n in range(40)),
    "constant": b"a,kind\n" + b"1,x\n1,y\n" * 8,
    "semicolons": b"a;kind\n" + b"1;x\n2;y\n" * 5,
    "byte order mark": b"\xef\xbb\xbfa,kind\n" + b"1,x\n2,y\n" * 5,
    "utf-16": "a,kind\n1,x\n2,y\n".encode("utf-16"),
    "latin-1": "a,kind\n1,Zürich\n2,Genf\n".encode("latin-1"),
    "Windows": b"a,kind\r\n" + b"1,x\r\n2,y\r\n" * 5,
    "text": b"a,b,kind\n" + b"1,red,x\n2,blue,y\n" * 5,
    "holes": b"a,b,kind\n1,,x\n2,3,y\n",
    "ragged": b"a,b,kind\n1,2,x\n1,2,3,y\n",
    "huge": b"a,kind\n" + b"1e308,x\n-1e308,y\n" * 5,
    "larger than float32": b"a,kind\n" + b"1e200,x\n2e200,y\n" * 5,
    "infinite": b"a,kind\n" + b"inf,x\n2,y\n" * 5,
    "long whole numbers": b"a,kind\n" + b"9" * 400 + b",x\n2,y\n" * 5,
    "booleans": b"a,kind\n" + b"True,x\nFalse,y\n" * 5,
    "twice": b"a,a,kind\n" + b"1,2,x\n2,1,y\n" * 5,
    "numbers as classes": b"a,kind\n" + b"1,0.5\n2,-1e9\n3,7\n" * 4,
    "nulls": b"a,kind\n1,\0x\n2,y\n",
    "open quote": b'a,kind\n"1,x\n2,y\n',
    "names with a line break": b'"a\nb",kind\n' + b"1,x\n2,y\n" * 5,
    "escape sequence": b"\x1b[31ma,kind\n" + b"1,\x1b[2Jx\n2,y\n" * 5,
    "unicode": "größe,kind\n1,日本\n2,Ünï\n3,日本\n4,Ünï\n".encode(),
    "wide": b",".join(b"c%d" % n for n in range(900)) + b",kind\n" + (b"1," * 900 + b"x\n" + b"2," * 900 + b"y\n") * 3,
}
"""Contents of CSV files; the column of classes is ``kind`` where there is one."""


def arrays() -> dict[str, dict[str, NDArray[Any]]]:
    """Return contents of npz files, by what is odd about them."""
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    return {
        "good": {"x": rng.normal(size=(30, 4)), "y": y},
        "images": {"x": rng.integers(0, 255, (30, 8, 8), np.uint8), "y": y},
        "colours": {"x": rng.integers(0, 255, (30, 3, 8, 8), np.uint8), "y": y},
        "large images": {"x": rng.integers(0, 255, (12, 28, 28), np.uint8), "y": y[:12]},
        "not square": {"x": rng.random((30, 8, 12), np.float32), "y": y},
        "one pixel": {"x": rng.random((30, 1, 1)), "y": y},
        "float16": {"x": rng.normal(size=(30, 4)).astype(np.float16), "y": y},
        "large numbers": {"x": rng.normal(size=(30, 4)) * 1e300, "y": y},
        "tiny numbers": {"x": rng.normal(size=(30, 4)) * 1e-300, "y": y},
        "whole numbers": {"x": rng.integers(-(2**62), 2**62, (30, 4)), "y": y},
        "booleans": {"x": rng.random((30, 4)) > 0.5, "y": y > 1},
        "complex": {"x": rng.normal(size=(30, 4)) + 1j, "y": y},
        "no features": {"x": np.zeros((30, 0)), "y": y},
        "no samples": {"x": np.zeros((0, 4)), "y": y[:0]},
        "one sample": {"x": np.zeros((1, 4)), "y": y[:1]},
        "two samples": {"x": np.eye(2), "y": y[:2]},
        "one class": {"x": rng.normal(size=(30, 4)), "y": y * 0},
        "other length": {"x": rng.normal(size=(30, 4)), "y": y[:7]},
        "labels in a column": {"x": rng.normal(size=(30, 4)), "y": y[:, None]},
        "scalars": {"x": np.array(1.0), "y": np.array(1)},
        "five dimensions": {"x": np.zeros((30, 2, 2, 2, 2)), "y": y},
        "text": {"x": rng.normal(size=(30, 4)), "y": np.array(["größe", "b", "\x1b[31mc"])[y]},
        "text as numbers": {"x": rng.normal(size=(30, 4)).astype(str), "y": y},
        "NaN": {"x": np.full((30, 4), np.nan), "y": y},
        "NaN as classes": {"x": rng.normal(size=(30, 4)), "y": np.where(y, y, np.nan)},
        "dates": {"x": rng.normal(size=(30, 4)), "y": y.astype("M8[s]")},
        "objects": {"x": rng.normal(size=(30, 4)), "y": np.array([None] * 30, dtype=object)},
        "other names": {"a": rng.normal(size=(30, 4)), "b": y},
        "big-endian": {"x": rng.normal(size=(30, 4)).astype(">f8"), "y": y.astype(">i4")},
    }


def names() -> list[str]:
    """Return the names of all files."""
    return list(_contents())


def write(folder: Path) -> list[Path]:
    """Write them all into a folder and return the files, with some that are neither a table nor arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _contents().items():
        (folder / name).write_bytes(content)
    return [folder / name for name in names()]


@functools.cache
def _contents() -> dict[str, bytes]:
    contents = {f"{name}.csv": content for name, content in TABLES.items()}
    for name, some in arrays().items():
        buffer = io.BytesIO()
        np.savez(buffer, **some)  # type: ignore[arg-type] # a mapping of arrays is what it takes
        contents[f"{name}.npz"] = buffer.getvalue()
    contents["größe 日本.csv"] = TABLES["good"]
    contents["cut.npz"] = contents["good.npz"][:-30]
    contents["table.npz"] = TABLES["good"]
    contents["zip.csv"] = contents["good.npz"]
    return contents
