"""Sigkill: kills of a whole command, workers included, and what it was at."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from benchmarks import left
from benchmarks.sweeps import processes

_DYING_SECONDS = 20.0


def kill(process: subprocess.Popen[bytes], outputs: Path, seconds: float, *, with_tracker: bool) -> bool:
    """Kill a command's process group so many seconds from now; say whether it was still there.

    Args:
        process: of the command, the leader of its group.
        outputs: the outputs root.
        seconds: to wait.
        with_tracker: kill the tracker too, which has a group of its own.

    Raises:
        RuntimeError: some of its processes have survived.
    """
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        if with_tracker:
            processes.kill(outputs, "tracker")
        process.wait()
        deadline = time.monotonic() + _DYING_SECONDS
        while alive := [role for _, role in processes.of(outputs) if role != "tracker"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"alive {_DYING_SECONDS:g} s after the kill: {', '.join(alive)}") from None
            time.sleep(0.02)
        return True
    return False


def wait_for_record(process: subprocess.Popen[bytes], outputs: Path, size: int = 1) -> None:
    """Wait until the runs of an outputs root have records of that many bytes, or the command has ended."""
    while process.poll() is None and left.recorded(outputs) < size:
        time.sleep(0.005)


def phase(outputs: Path) -> str:
    """Find out from what is on the disk what a killed trainer was at."""
    directories = [each for top in left.begun(outputs) for name, each in left.records(top).items() if name != "sweep"]
    found = [left.read(each) for each in directories]
    if not found:
        return "before there was a record"
    if all(run.status for run in found):
        return "when all records were closed"
    if any(name.startswith("final/") for run in found if not run.status for _, name in run.numbers):
        return "while a record was being closed"
    if any(step > 0 for run in found for step, _ in run.numbers):
        return "in training"
    return "before the first epoch"
