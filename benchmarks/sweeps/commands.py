"""Commands: nnlab as its users call it, in processes of their own, with outputs roots of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweeps import processes

LOG = "command.log"
_SETTLING_SECONDS = 180.0


@dataclass(frozen=True)
class Done:
    """A command that has ended well.

    Attributes:
        started: when it was given, seconds since 1970.
        seconds: from there to the end of its process.
        output: all that it has printed.
    """

    started: float
    seconds: float
    output: str


@contextmanager
def outputs_root() -> Iterator[Path]:
    """Make a new outputs root, and delete it when its tracker has gone."""
    with tempfile.TemporaryDirectory(prefix="nnlab-sweeps-") as folder:
        outputs = Path(folder).resolve()
        try:
            yield outputs
            settle(outputs)
        finally:
            processes.kill(outputs)


def start(outputs: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Give a command, in a session of its own; what it prints goes to ``command.log`` in the outputs root."""
    # A file and no pipe: whoever reads a pipe also waits for those that a command leaves behind.
    with (outputs / LOG).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "nnlab", *arguments],
            env={**os.environ, "NNLAB_OUTPUTS": str(outputs), "MLFLOW_TRACKING_URI": ""},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(outputs: Path, *arguments: str) -> Done:
    """Give a command and wait for its end.

    Raises:
        RuntimeError: it has failed.
    """
    started, clock = time.time(), time.perf_counter()
    code = start(outputs, *arguments).wait()
    seconds = time.perf_counter() - clock
    output = (outputs / LOG).read_text()
    if code:
        raise RuntimeError(f"nnlab {' '.join(arguments)} ended with exit code {code}:\n{output}")
    return Done(started, seconds, output)


def settle(outputs: Path) -> None:
    """Wait until the tracker has gone: it stays for some seconds, and the next command shall not meet it.

    Raises:
        RuntimeError: it stays.
    """
    deadline = time.monotonic() + _SETTLING_SECONDS
    while any(processes.of(outputs)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of {outputs} don't end: {[*processes.of(outputs)]}")
        time.sleep(0.1)


def say(text: str) -> None:
    """Say on the standard error how far the benchmark is."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
