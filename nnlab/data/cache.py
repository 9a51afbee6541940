"""Where data live on this machine, and the prepared arrays of data sets that take long to make.

``import sklearn.datasets`` takes two seconds, which is longer than training on wine. So its arrays are kept as
``<data_dir>/<key>/x.npy``, ``y.npy`` and ``sha256.json``. A cache entry is never needed: unreadable, damaged or
unwritable, the arrays are made again.
"""

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nnlab import regular_file
from nnlab.errors import NnlabError

State = Literal["ok", "missing", "wrong"]
Arrays = tuple[NDArray[Any], NDArray[Any]]

ARRAY_FILES = ("x.npy", "y.npy")
SIDECAR = "sha256.json"
_SIDECAR_BYTES, _ARRAY_BYTES = 10_000, 4 * 2**30


def data_dir() -> Path:
    """The directory of all data: ``$NNLAB_DATA_DIR``, else ``nnlab`` in the user's cache directory.

    Returns:
        An absolute path. It need not exist and may be read-only.
    """
    if chosen := os.environ.get("NNLAB_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    # What pooch.os_cache calls, at a fifth of its import time; each run of wine comes by here.
    import platformdirs

    return Path(platformdirs.user_cache_dir("nnlab")).absolute()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part; makes the directory.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        OSError: the place cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner only, and the directory may be shared.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:  # Ctrl-C too must not leave 47 MB under a name nobody looks for
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def prepared(key: str, make: Callable[[], Arrays], expected: Callable[[Arrays], bool] = lambda _: True) -> Arrays:
    """Take arrays from the cache, or make and keep them.

    Safe when processes race: each file is replaced as a whole, and files of different writers that do not belong
    together fail the check and are made again.

    Args:
        key: folder below `data_dir`, one for each content.
        make: computes x and y.
        expected: what else a cached pair must fulfil to be used; the made pair is not asked.

    Returns:
        x and y as made.
    """
    folder = data_dir() / key
    cached = _read(folder)
    if cached is not None and expected(cached):
        return cached
    made = make()
    # A read-only or missing directory is no error: the arrays are here, and the next process makes them again.
    with contextlib.suppress(OSError):
        _write(folder, made)
    return made


def check(key: str) -> State:
    """Compare a cache entry with its hashes.

    Args:
        key: as for `prepared`.

    Returns:
        ``missing`` when there is no such folder, else ``ok`` or ``wrong``.
    """
    folder = data_dir() / key
    if not folder.is_dir():
        return "missing"
    return "wrong" if _read(folder) is None else "ok"


def _write(folder: Path, arrays: Arrays) -> None:
    hashes = {}
    for name, array in zip(ARRAY_FILES, arrays, strict=True):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        hashes[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_atomically(folder / name, buffer.getvalue())
    write_atomically(folder / SIDECAR, json.dumps(hashes, indent=1).encode())


def _read(folder: Path) -> Arrays | None:
    try:
        # The directory may be shared: what others put there is waited for no more than it is believed.
        hashes = json.loads(regular_file.read(folder / SIDECAR, _SIDECAR_BYTES))
        contents = {name: regular_file.read(folder / name, _ARRAY_BYTES) for name in ARRAY_FILES}
        # Hash before parsing: a flipped bit in a .npy header makes NumPy warn, or ask for terabytes.
        if hashes != {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}:
            return None
        x, y = (np.load(io.BytesIO(contents[name]), allow_pickle=False) for name in ARRAY_FILES)
    except (NnlabError, OSError, ValueError, RecursionError):
        return None
    return x, y
