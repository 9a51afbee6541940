"""Killing: a command is given, and its whole process group gets SIGKILL some seconds after its first line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweeps import commands, processes, records
from benchmarks.sweeps.results import JOBS
from nnlab import journal

_FIRST_LINE_SECONDS = 120.0
_DYING_SECONDS = 10.0


@dataclass(frozen=True)
class Kill:
    """What a sweep was at when it was killed.

    Attributes:
        moment: seconds after its first line.
        phase: ``planning``, ``training``, ``answer`` or ``mirroring``.
        begun: runs that have a record.
        finished: runs that are FINISHED.
        with_tracker: the tracker was killed too, if there was one.
    """

    moment: float
    phase: str
    begun: int
    finished: int
    with_tracker: bool

    def __str__(self) -> str:
        tracker = ", tracker too" if self.with_tracker else ""
        return f"{self.moment:.1f} s, {self.phase}, {self.finished} of {self.begun} begun ones finished{tracker}"


def kill(outputs: Path, command: list[str], moment: float, *, with_tracker: bool) -> Kill | None:
    """Give a command and kill its process group so many seconds after its first line; None if it has ended by then.

    Args:
        outputs: the outputs root.
        command: of nnlab.
        moment: seconds.
        with_tracker: kill the tracker too, which has a group of its own.

    Raises:
        RuntimeError: it failed by itself, or some of its processes have survived.
    """
    process = commands.start(outputs, *command)
    wait_for_line(process, outputs)
    try:
        code = process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        if with_tracker:
            processes.kill(outputs, "tracker")
        process.wait()
        _look_for_survivors(outputs)
        return _look(outputs, moment, with_tracker=with_tracker)
    if code:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(outputs / commands.LOG).read_text()}")
    return None


def wait_for_line(process: subprocess.Popen[bytes], outputs: Path) -> None:
    """Wait until a command has printed a line, or has ended.

    Raises:
        RuntimeError: it does neither.
    """
    deadline = time.monotonic() + _FIRST_LINE_SECONDS
    while b"\n" not in (outputs / commands.LOG).read_bytes() and process.poll() is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"there was no first line after {_FIRST_LINE_SECONDS:g} s")
        time.sleep(0.005)


def _look_for_survivors(outputs: Path) -> None:
    deadline = time.monotonic() + _DYING_SECONDS
    while alive := [role for _, role in processes.of(outputs) if role != "tracker"]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"alive {_DYING_SECONDS:g} s after their group was killed: {', '.join(alive)}")
        time.sleep(0.05)


def _look(outputs: Path, moment: float, *, with_tracker: bool) -> Kill:
    """Find out from what is on the disk what a killed sweep was at."""
    if not any(outputs.glob("sweeps/*/sweep.json")):
        return Kill(moment, "planning", 0, 0, with_tracker)
    directory = records.sweep_of(outputs)
    jobs = [journal.read(job) for job in records.jobs(directory).values()]
    finished = sum(job.status == "FINISHED" for job in jobs)
    is_closed = (directory / journal.NAME).is_file() and journal.read(directory).status == "FINISHED"
    phase = "mirroring" if is_closed else "answer" if finished == JOBS else "training" if jobs else "planning"
    return Kill(moment, phase, len(jobs), finished, with_tracker)
