"""Orphans: runs whose trainer and tracker were both killed, and which the next command closes in MLflow."""

from __future__ import annotations

import functools
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.killed import endings
from benchmarks.faults.killed.endings import DIED, ENDLESS, SWEEP, Case, Seconds
from benchmarks.faults.killed.session import Session, wait_for
from benchmarks.sweeps import processes, stored

_NEXT = {
    "the next training": ["train", "training.epochs=3"],
    "the next sweep": ["train", "-m", "training.epochs=3", "seed=0,1", "hydra.launcher.backend=sequential"],
    "`nnlab sync`": ["sync"],
    "`nnlab ui`": ["ui", "--no-browser"],
}


def _orphan(command: list[str], following: list[str], seconds: Seconds, _: random.Random) -> Iterator[str]:
    with roots.root(is_tracked=True) as outputs:
        session = Session(outputs, command)
        try:
            endings.wait_until_training(session)
            (directory,) = left.begun(outputs)
            session.signal_group(signal.SIGSTOP)  # alive, but out of the way: a tracker waits for an idle core
            wait_for(lambda: _statuses(outputs) == {"RUNNING"}, 120, "RUNNING in MLflow")
            session.signal_group(signal.SIGKILL)
            wait_for(lambda: _are_dead(outputs), 60, "the death of all")
        finally:
            session.close()
        if _statuses(outputs) != {"RUNNING"}:
            yield f"it was no orphan: {_statuses(outputs)}"
        since = time.monotonic()
        after = Session(outputs, following)
        try:
            if following[0] != "ui" and (code := after.wait(120)) != 0:
                yield f"the next command ended with exit code {code}: {' / '.join(after.said[-3:])}"
            yield from endings.in_records(directory, None)
            yield from endings.in_mlflow(outputs, directory, "KILLED", DIED, since, seconds)
            if after.process.poll() is None:
                after.signal(signal.SIGTERM)
                if (code := after.wait(30)) != 0 or [role for _, role in processes.of(outputs) if role != "tracker"]:
                    yield f"`nnlab ui` ended with exit code {code}, or its server did not"
        finally:
            after.close()


def _statuses(outputs: Path) -> set[str]:
    return {run.status for run in stored.runs(outputs)}


def _are_dead(outputs: Path) -> bool:
    """Kill what works for an outputs root, and say whether all is gone; a tracker dies at the lowest priority."""
    processes.kill(outputs)
    locks = outputs.glob(".tracker-*.lock")
    return not any(processes.of(outputs)) and not any(left.is_locked(lock) for lock in locks)


CASES: dict[str, Case] = {
    f"{what}, trainer and tracker killed, then {name}": functools.partial(_orphan, command, following)
    for what, command in {"a run": ["train", *ENDLESS], "a sweep": ["train", *SWEEP]}.items()
    for name, following in _NEXT.items()
}
