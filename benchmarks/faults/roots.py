"""Roots: outputs roots for trials, with a store whose schema is made already, for that alone takes three seconds."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.sweeps import processes

_MAKE = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()"
_lock = threading.Lock()


def make(*, is_tracked: bool) -> Path:
    """Make a new outputs root, with an empty store if its runs are to be mirrored."""
    outputs = Path(tempfile.mkdtemp(prefix="nnlab-fault-")).resolve()
    if is_tracked:
        with _lock:
            store = _store()
        shutil.copy(store, outputs / "mlflow.db")
    return outputs


def remove(outputs: Path) -> None:
    """End whatever works for an outputs root, and delete it."""
    processes.kill(outputs)
    shutil.rmtree(outputs, ignore_errors=True)  # a process that dies may still write


@contextmanager
def root(*, is_tracked: bool) -> Iterator[Path]:
    """Give an outputs root, and remove it unless something goes wrong, when only its processes are ended."""
    outputs = make(is_tracked=is_tracked)
    try:
        yield outputs
    except BaseException:
        processes.kill(outputs)
        raise
    remove(outputs)


@functools.cache
def _store() -> Path:
    folder = tempfile.mkdtemp(prefix="nnlab-store-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "mlflow.db")
    subprocess.run([sys.executable, "-c", _MAKE, f"sqlite:///{path}"], check=True, capture_output=True)
    return path
