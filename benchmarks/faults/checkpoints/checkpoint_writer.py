"""Checkpoint writer: what a trainer does with its checkpoints, each time in a fork that somebody may kill.

A fork spares the seconds of imports, which a system call tracer would make many more. It says so when all but
the writing is done, and begins when it is told to. All that it does is done by one thread, the one that a trainer has
for its checkpoints. `Writer` is the end that asks; run as a program with the directory
of a run, this module is the end that forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from benchmarks.faults.checkpoints.checkpoint_scenes import BEGINS, SCENES, Act, Run, Scene
from nnlab.journal import Journal


class Writer:
    """A process that forks writers, one at a time; a context manager.

    Args:
        run: directory of the run whose checkpoints are written again.
    """

    def __init__(self, run: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.checkpoints.checkpoint_writer", str(run)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, scene: str, directory: Path) -> int:
        """Have a fork made that is ready to act, and return the id of the thread that will."""
        self._say(json.dumps([scene, str(directory)]))
        return int(self._line())

    def act(self) -> int:
        """Let it act, and return its exit code; negative: the signal that ended it."""
        self._say("go")
        return int(self._line())

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        return self._process.stdout.readline().decode().strip()


def _serve(run: Run) -> None:
    while line := _read_line():
        scene, directory = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _write(SCENES[scene], Path(directory), run)
        _, status = os.waitpid(pid, 0)
        _write_line(str(os.waitstatus_to_exitcode(status)))


def _write(scene: Scene, directory: Path, run: Run) -> None:
    code = 1
    try:
        log = Journal(directory)
        writer = ThreadPoolExecutor(1)
        act = scene.prepare(directory, log, run, writer)
        _write_line(str(writer.submit(threading.get_native_id).result()))
        _read_line()
        writer.submit(_act, act, log).result()
        writer.submit(int).result()  # it has then done all that was submitted while it acted
        code = 0
    except BaseException:  # a fork goes no further, whatever happens
        traceback.print_exc()
    finally:
        os._exit(code)


def _act(act: Act, log: Journal) -> None:
    log.write("tags", tags={BEGINS: "now"})  # on the disk before the checkpoint, as the metrics have to be
    act()


def _read_line() -> str:
    """Return a line of the standard input without reading beyond it: parent and child take turns."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def _write_line(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(Run.of(Path(sys.argv[1])))
