"""Broken: runs and sweeps that end by themselves: an exception, too little memory, a worker that is killed."""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.killed import endings
from benchmarks.faults.killed.endings import ENDLESS, SWEEP, Case, Seconds
from benchmarks.faults.killed.session import Session

_COMPONENTS = '''
import numpy as np
from nnlab.nn.activations import Tanh

class Raising(Tanh):
    """Raises in one of its calls."""
    def __init__(self, *, after: int = 0) -> None:
        super().__init__()
        self.left = after
    def forward(self, x):
        self.left -= 1
        if not self.left:
            raise RuntimeError("the sensor is gone")
        return super().forward(x)

class Hoarding(Tanh):
    """Asks for memory in each call that is never given back."""
    def __init__(self, *, after: int = 0) -> None:
        super().__init__()
        self.left, self.hoard = after, []
    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            self.hoard.append(np.empty(2**24))
        return super().forward(x)
'''
_MEMORY = 4 * 2**30  # bytes of address space
_LIMITED = ("prlimit", f"--as={_MEMORY}")
_FEW_THREADS = {"OPENBLAS_NUM_THREADS": "1"}  # each takes address space


def _with_component(command: list[str], outputs: Path, name: str) -> tuple[list[str], dict[str, str]]:
    """Return a command with a component of one's own, and the environment that it needs."""
    (outputs / "own" / "activation").mkdir(parents=True)
    (outputs / "own" / "broken_components.py").write_text(_COMPONENTS)
    (outputs / "own" / "activation" / "mine.yaml").write_text(f"_target_: broken_components.{name}\nafter: 0\n")
    given = [*command, "--config-dir", str(outputs / "own"), "activation=mine"]
    return given, {"PYTHONPATH": os.pathsep.join([str(outputs / "own"), os.environ.get("PYTHONPATH", "")])}


def _failing(
    command: list[str], component: str, reason: str, prefix: tuple[str, ...], seconds: Seconds, _: random.Random
) -> Iterator[str]:
    """What fails in training ends as FAILED, and of a sweep nothing else does."""
    with roots.root(is_tracked=True) as outputs:
        given, variables = _with_component(command, outputs, component)
        variables |= _FEW_THREADS if prefix else {}
        session = Session(outputs, given, prefix=prefix, variables=variables)
        try:
            if (code := session.wait(240)) != 1:
                yield f"exit code {code}: {' / '.join(session.said[-3:])}"
            if len(session.said) != 1 or not session.said[0].startswith("nnlab: "):
                yield f"it said: {' / '.join(session.said[-5:])}"
            directory = left.begun(outputs)[0]
            for name, each in left.records(directory).items():
                found = left.read(each)
                is_fine = "-m" in command and name == "job 1"
                wanted = ("FINISHED", "") if is_fine else ("FAILED", "1 of 2 jobs" if name == "sweep" else reason)
                if found.status != wanted[0] or wanted[1] not in (found.reason or ""):
                    yield f"{name} is {found.status} in its journal, for the reason {found.reason!r}"
                if name != "sweep" and found.status == "FAILED":
                    yield from _closed_in_time(each, seconds)
                    yield from endings.in_mlflow(outputs, each, "FAILED", reason, time.monotonic(), seconds)
        finally:
            session.close()


def _closed_in_time(directory: Path, seconds: Seconds) -> Iterator[str]:
    lines = left.lines(directory)
    last = max((line["timestamp"] for line in lines if line["type"] == "metrics"), default=lines[0]["timestamp"])
    took = (lines[-1]["timestamp"] - last) / 1000
    seconds.note("from a failure to its status in the journal", took)
    if took > seconds.limit:
        yield f"it took {took:.1f} s to close the record"


def _too_large(command: list[str], _: Seconds, __: random.Random) -> Iterator[str]:
    """What does not fit into memory is refused before anything is recorded."""
    with roots.root(is_tracked=False) as outputs:
        session = Session(outputs, command, prefix=_LIMITED, variables=_FEW_THREADS)
        try:
            if (code := session.wait(120)) != 2:
                yield f"exit code {code}"
            if len(session.said) != 1 or "memory" not in session.said[0]:
                yield f"it said: {' / '.join(session.said[-5:])}"
            if records := [left.records(each) for each in left.begun(outputs)]:
                yield from (f"there is a record: {each}" for each in records if each)
        finally:
            session.close()


def _worker_killed_once(seconds: Seconds, draw: random.Random) -> Iterator[str]:
    """A worker that is killed once costs nothing: what it was at is gone on with."""
    with roots.root(is_tracked=True) as outputs:
        session = Session(outputs, ["train", *SWEEP, "training.epochs=600", "checkpoint.every=20"])
        try:
            endings.wait_until_training(session)
            time.sleep(draw.uniform(0, 1))
            killed = session.workers()[0]
            since = time.monotonic()
            os.kill(killed, signal.SIGKILL)
            if (code := session.wait(240)) != 0:
                yield f"exit code {code}: {' / '.join(session.said[-3:])}"
            directory = left.begun(outputs)[0]
            yield from endings.in_records(directory, "FINISHED")
            yield from endings.in_mlflow(outputs, directory, "FINISHED", "", since, seconds)
        finally:
            session.close()


def _workers_killed(seconds: Seconds, _: random.Random) -> Iterator[str]:
    """Where every worker is killed, at once when it has begun, each job ends as FAILED, and so does the sweep."""
    with roots.root(is_tracked=True) as outputs:
        session = Session(outputs, ["train", *SWEEP])
        try:
            while session.process.poll() is None and "FAILED" not in _statuses(outputs, "sweep"):
                for worker in session.workers():
                    os.kill(worker, signal.SIGKILL)
                time.sleep(0.05)
            since = time.monotonic()
            if (code := session.wait(120)) != 1:
                yield f"exit code {code}: {' / '.join(session.said[-3:])}"
            directory = left.begun(outputs)[0]
            if sorted(left.records(directory)) != ["job 0", "job 1", "job 2", "sweep"]:
                yield f"there are the records {', '.join(left.records(directory))}"
            for name, each in left.records(directory).items():
                found = left.read(each)
                reason = "3 of 3 jobs failed" if name == "sweep" else "worker process was killed (SIGKILL)"
                if found.status != "FAILED" or reason not in (found.reason or ""):
                    yield f"{name} is {found.status} in its journal, for the reason {found.reason!r}"
            yield from endings.in_mlflow(outputs, directory, "FAILED", "", since, seconds)
        finally:
            session.close()


def _statuses(outputs: Path, which: str) -> set[str | None]:
    records = [left.records(each) for each in left.begun(outputs)]
    return {left.read(each[which]).status for each in records if which in each}


_RUN: Mapping[str, list[str]] = {
    "a run": ["train", *ENDLESS, "activation.after=600"],
    "a sweep": ["train", "-m", *ENDLESS, "activation.after=600,100000000", "training.epochs=150"],
}
_WIDE = "architecture.hidden_sizes=[300000,300000]"

CASES: dict[str, Case] = {
    **{
        f"an exception in {what}": functools.partial(
            _failing, command, "Raising", "RuntimeError: the sensor is gone", ()
        )
        for what, command in _RUN.items()
    },
    **{
        f"out of memory in {what}": functools.partial(_failing, command, "Hoarding", "MemoryError", _LIMITED)
        for what, command in _RUN.items()
    },
    "a worker killed once": _worker_killed_once,
    "every worker killed": _workers_killed,
    "a sweep too large for the memory": functools.partial(_too_large, ["train", *SWEEP, _WIDE]),
    "a run too large for the memory": functools.partial(_too_large, ["train", *ENDLESS, _WIDE]),
}
