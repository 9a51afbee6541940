"""Session: a command in a session of its own, on a terminal of its own if need be, whose end is measured."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.sweeps import processes

# What a terminal does with the command that it runs; no preexec_fn, as we have threads.
_ON_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Session:
    """A command that has been given.

    Args:
        outputs: the outputs root.
        command: of nnlab.
        on_terminal: its standard streams are a terminal's instead of files.
        prefix: of the command line, such as ``nohup``.
        variables: of its environment.
    """

    def __init__(
        self,
        outputs: Path,
        command: list[str],
        *,
        on_terminal: bool = False,
        prefix: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.outputs, self._master, self._is_on_terminal = outputs, -1, on_terminal
        self._said = bytearray()
        self._out, self._error = outputs / "out.log", outputs / "error.log"
        environment = {
            **os.environ,
            "NNLAB_OUTPUTS": str(outputs),
            "MLFLOW_TRACKING_URI": "",
            "COLUMNS": "150",
            **(variables or {}),
        }
        full = [*prefix, sys.executable, "-m", "nnlab", *command]
        if on_terminal:
            self._master, slave = pty.openpty()
            full = [sys.executable, "-c", _ON_TERMINAL, *full]
            self.process = subprocess.Popen(full, env=environment, stdin=slave, stdout=slave, stderr=slave)
            os.close(slave)
            self._is_closed = threading.Event()
            self._reader = threading.Thread(target=self._read)
            self._reader.start()
        else:
            with self._out.open("wb") as out, self._error.open("wb") as error:
                self.process = subprocess.Popen(
                    full,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=error,
                    start_new_session=True,
                )

    def type(self, keys: bytes) -> None:
        """Type on its terminal."""
        os.write(self._master, keys)

    def hang_up(self) -> None:
        """Close its terminal."""
        if self._master >= 0:
            self._is_closed.set()
            self._reader.join()
            os.close(self._master)
            self._master = -1

    def signal(self, number: int) -> None:
        """Send a signal to its first process alone."""
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to all of its processes but the tracker."""
        os.killpg(self.process.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; return the exit code, None if it does not end."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def workers(self) -> list[int]:
        """Return its processes that train beside the first one."""
        return [pid for pid, role in processes.of(self.outputs) if role == "worker"]

    def close(self) -> None:
        """End whatever is left of it."""
        processes.kill(self.outputs)
        self.process.wait()
        self.hang_up()

    @property
    def said(self) -> list[str]:
        """The lines of its standard error; on a terminal all that it has shown."""
        text = self._said if self._is_on_terminal else self._error.read_bytes()
        return text.decode(errors="replace").splitlines()

    def _read(self) -> None:
        while not self._is_closed.is_set():
            ready, _, _ = select.select([self._master], [], [], 0.05)
            try:
                self._said += os.read(self._master, 65536) if ready else b""
            except OSError:  # the command has ended, and with it its end of the terminal
                return


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until a condition holds; return how long that took.

    Args:
        condition: a function.
        seconds: to wait at most.
        what: is waited for.

    Raises:
        TimeoutError: it does not.
    """
    clock = time.monotonic()
    while not condition():
        if time.monotonic() - clock > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - clock
