"""Terminals: commands of nnlab whose output is read as it comes, from a pipe or from a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.sweeps import processes

_DYING_SECONDS = 20.0


class Watched:
    """A command with an outputs root of its own, whose output is kept as it comes.

    Args:
        outputs: the outputs root.
        arguments: behind ``nnlab``.
        is_terminal: it writes to a terminal, not into a pipe.
    """

    def __init__(self, outputs: Path, *arguments: str, is_terminal: bool = False) -> None:
        self.outputs = outputs
        self._pieces: list[bytes] = []
        read, write = pty.openpty() if is_terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nnlab", *arguments],
            env={**os.environ, "NNLAB_OUTPUTS": str(outputs), "MLFLOW_TRACKING_URI": ""}
            | {"TERM": "xterm", "COLUMNS": "150", "LINES": "40", "OPENBLAS_NUM_THREADS": "1"},
            stdin=write if is_terminal else subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            start_new_session=True,
        )
        os.close(write)
        self._thread = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """What has been printed by now."""
        return b"".join(self._pieces).decode(errors="replace")

    def wait_for(self, condition: Callable[[], object], seconds: float = 400.0) -> bool:
        """Wait until something is so, or the command and its tracker have ended; say whether it is.

        Raises:
            RuntimeError: neither comes.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None and not any(processes.of(self.outputs)):
                return False
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {seconds:g} s in vain: {self.text[-300:]}")
            time.sleep(0.003)
        return True

    def kill(self) -> None:
        """Kill it, its workers and its tracker at once, and wait until all of them are dead.

        Raises:
            RuntimeError: one of them survives.
        """
        deadline = time.monotonic() + _DYING_SECONDS
        targets = [self.process.pid, *(pid for pid, _ in processes.of(self.outputs))]
        while targets:
            for pid in targets:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            if time.monotonic() > deadline:
                raise RuntimeError(f"alive {_DYING_SECONDS:g} s after SIGKILL: {targets}")
            targets = [pid for pid, _ in processes.of(self.outputs)]
        self.process.wait()
        self._thread.join(_DYING_SECONDS)

    def _read(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # so a terminal says that its other end is closed
            while piece := os.read(fd, 65536):
                self._pieces.append(piece)
        os.close(fd)
