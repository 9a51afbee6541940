"""Warm: nnlab's command line by the thousand, each command in a fork of a process that has imported everything.

A fork takes what a command takes, its own standard streams, working directory, limits and exit code, but not the two
seconds of imports. `Warm` is the end that asks; run as a program, this module is the end that forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nnlab import cli
from nnlab.errors import NnlabError

MEMORY = 6 * 2**30  # bytes of address space that a command may have


@dataclass(frozen=True)
class Ended:
    """How a command has ended.

    Attributes:
        code: exit code; negative: the signal that ended it; None: it was killed, as its time was over.
        out: its standard output.
        err: its standard error.
        seconds: that it took.
        memory: bytes that were resident at the most, what it shares with the process it was forked from included.
    """

    code: int | None
    out: str
    err: str
    seconds: float
    memory: int


class Warm:
    """A process that forks commands, one at a time; a context manager.

    Args:
        folder: where the commands work: their current directory, home, outputs root (``outputs``) and data directory.
        environment: variables of theirs, beside the usual ones.
        imported: modules that are imported too before the first one.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, imported: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.outputs = folder / "outputs"
        self.work = folder / "work"
        for each in (self.work, folder / "home", folder / "data"):
            each.mkdir(exist_ok=True, parents=True)
        own = {
            "HOME": str(folder / "home"),
            "NNLAB_OUTPUTS": str(self.outputs),
            "NNLAB_DATA_DIR": str(folder / "data"),
            "OPENBLAS_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": "",
        }
        self.environment = {**os.environ, **own, **(environment or {}), "PYTHONPATH": str(Path(__file__).parents[2])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.warm", *imported],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.work,
            start_new_session=True,
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # which ends its orders

    @property
    def pid(self) -> int:
        """Id of the process that forks."""
        return self._process.pid

    def run(self, arguments: Sequence[str], seconds: float = 20.0, interrupt: float | None = None) -> Ended:
        """Give a command and wait for its end.

        Args:
            arguments: behind ``nnlab``; or ``-c`` and Python.
            seconds: after which it is killed, with all that it has started.
            interrupt: seconds after which it gets what Ctrl-C sends.
        """
        orders, answers = self._process.stdin, self._process.stdout
        if orders is None or answers is None:
            raise RuntimeError("both are pipes")
        order = {"arguments": list(arguments), "seconds": seconds, "interrupt": interrupt}
        orders.write(json.dumps(order).encode() + b"\n")
        orders.flush()
        answer = json.loads(answers.readline())
        return Ended(out=_text(self.folder / "out"), err=_text(self.folder / "err"), **answer)

    def cold(self, arguments: Sequence[str], seconds: float) -> Ended:
        """Give a command in the same place, but in a process of its own, and wait for its end."""
        clock = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "nnlab", *arguments],
            env=self.environment,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Ended(None, out.decode(), err.decode(), seconds, 0)
        return Ended(process.returncode, out.decode(), err.decode(), time.monotonic() - clock, 0)


def _text(path: Path) -> str:
    return path.read_bytes()[:1_000_000].decode(errors="backslashreplace")


def _serve() -> list[str] | None:
    """Fork for each order; return its arguments in the fork, and None when there are no more orders."""
    _warm_up()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork would copy all memory when it collects
    for line in sys.stdin.buffer:
        order = json.loads(line)
        clock = time.monotonic()
        child = os.fork()
        if child == 0:
            _settle()
            arguments: list[str] = order["arguments"]
            return arguments
        with contextlib.suppress(OSError):  # the child does it too: whoever is first
            os.setpgid(child, child)
        answer = _wait(child, order["seconds"], order["interrupt"]) | {"seconds": time.monotonic() - clock}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return None


def _wait(child: int, seconds: float, interrupt: float | None) -> dict[str, Any]:
    """Return how a child ended, which is made to if need be; nothing that it has started stays behind."""
    ended = os.pidfd_open(child)
    try:
        if interrupt is not None and not select.select([ended], [], [], interrupt)[0]:
            os.kill(child, signal.SIGINT)
        is_over = bool(select.select([ended], [], [], seconds)[0])
    finally:
        os.close(ended)
    if not is_over:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return {"code": os.waitstatus_to_exitcode(status) if is_over else None, "memory": 1024 * usage.ru_maxrss}


def _settle() -> None:
    """Make a fork what a command is when a shell starts it."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path.cwd().parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["nnlab"]


def _warm_up() -> None:
    """Import what commands import, and let them find their first figure's fonts and Hydra's plugins there."""
    import hydra.core.plugins
    import matplotlib.pyplot
    import pandas  # noqa: F401
    import sklearn.datasets  # noqa: F401

    import nnlab.api
    import nnlab.app
    import nnlab.reproduction.reproduce
    import nnlab.runner
    import nnlab.sweep.course
    import nnlab.sweep.resumption
    from nnlab.compose import compose_job, hydra_app

    hydra.core.plugins.Plugins.instance()
    overrides = ["dataset=moons", "+activation@architecture.activations.1=relu", "training.diagnostics=[grad_norm]"]
    with hydra_app(overrides) as app:  # ANTLR's parsers learn from what they read
        nnlab.runner.check(compose_job(app, overrides))
    figure = matplotlib.pyplot.figure()
    figure.text(0, 0, "x")
    figure.canvas.draw()
    matplotlib.pyplot.close(figure)


def _python(code: str) -> None:
    """Run Python that uses nnlab; what it refuses ends as on the command line."""
    try:
        exec(code, {})  # noqa: S102 - our own
    except NnlabError as error:
        sys.stderr.write(f"nnlab: {error}\n")
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    given = _serve()
    if given is not None:
        try:
            _python(given[1]) if given[0] == "-c" else cli.main(given)
        except SystemExit as ended:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            # Not all that Python does at its end, which takes longer in a fork than the whole rest.
            os._exit(ended.code if isinstance(ended.code, int) else bool(ended.code))
