"""Endings: how a command must have ended that something made end, in its records and in MLflow."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import left
from benchmarks.faults.killed.session import Session, wait_for
from benchmarks.sweeps import processes, stored

DIED = "the process died without closing the run"
INTERRUPTED = "interrupted"
_MIRRORED_WITHIN = 90.0  # seconds

ENDLESS = ["dataset=digits", "architecture.hidden_sizes=[64]", "optimizer.lr=0.01", "training.epochs=100000"]
SWEEP = ["-m", *ENDLESS, "seed=0,1,2", "hydra.launcher.n_jobs=2", "hydra.launcher.max_stack=2"]

Case = Callable[["Seconds", random.Random], Iterator[str]]
"""Tries something, tells how long it took, draws moments, and gives what is wrong, a line each."""

_TRAINING = 4000  # bytes of journals that are no beginning any more


class Seconds:
    """The longest times that were seen, by what was waited for.

    Args:
        limit: that something may take to end.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.longest: dict[str, float] = {}

    def note(self, what: str, seconds: float) -> None:
        """Take a time that something took."""
        self.longest[what] = max(seconds, self.longest.get(what, 0.0))


def wait_until_training(session: Session, before: int = 0) -> None:
    """Wait until a command trains.

    Args:
        session: of the command.
        before: bytes of journals that were there before it.

    Raises:
        RuntimeError: it ends instead.
        TimeoutError: it doesn't train.
    """
    wait_for(
        lambda: left.recorded(session.outputs) > before + _TRAINING or session.process.poll() is not None,
        120,
        "training",
    )
    if session.process.poll() is not None:
        raise RuntimeError(f"it ended by itself: {' / '.join(session.said[-3:])}")


def ended(session: Session, code: int, since: float, seconds: Seconds) -> Iterator[str]:
    """Wait for the end of a command, and say what is wrong with it.

    Args:
        session: of the command.
        code: that it should exit with.
        since: ``time.monotonic()`` of what ends it.
        seconds: is told how long it took.
    """
    found = session.wait(6 * seconds.limit)
    took = time.monotonic() - since
    seconds.note("from the cause to the end of the process", took)
    if found != code:
        yield f"exit code {found} instead of {code}: {' / '.join(session.said[-3:])}"
    if took > seconds.limit:
        yield f"it took {took:.1f} s to end"
    if any("Traceback" in line for line in session.said):
        yield f"there is a traceback: {session.said[-1]}"
    # Killed outright, nobody could wait for the workers, nor a worker for its disk; else the command's end is theirs.
    deadline = since + seconds.limit if code < 0 else 0.0
    while (alive := [*_alive(session), *(_held(session) if code < 0 else ())]) and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive:
        yield f"still there: {', '.join(alive)}"


def _alive(session: Session) -> list[str]:
    return [role for _, role in processes.of(session.outputs) if role not in ("tracker", "helper")]


def _held(session: Session) -> list[str]:
    """Return the journals that are locked: a process that is about to be gone may have no name any more, but files."""
    records = [each for directory in left.begun(session.outputs) for each in left.records(directory).values()]
    return [f"who holds {each.name}" for each in records if left.is_locked(each / left.JOURNAL)]


def in_records(directory: Path, status: str | None, reason: str = "", *, else_died: bool = False) -> Iterator[str]:
    """Say what is wrong with the statuses in the journals of a run or a sweep.

    Args:
        directory: of the run or the sweep.
        status: that all of them should have; None for none, as the process died.
        reason: of the status, or a part of it.
        else_died: jobs may have none as well, as they died before, and nobody has come to them since.
    """
    records = left.records(directory)
    if not records:
        yield "there is no record"
    for name, each in records.items():
        found = left.read(each)
        if else_died and name.startswith("job") and found.status is None:
            continue
        if found.status != status or reason not in (found.reason or ""):
            yield f"{name} is {found.status} in its journal, for the reason {found.reason!r}"


def in_mlflow(
    outputs: Path, directory: Path, status: str, reason: str, since: float, seconds: Seconds, *, else_died: bool = False
) -> Iterator[str]:
    """Wait until MLflow has the end of a run or a sweep, and say what is wrong with what it has.

    Args:
        outputs: the outputs root.
        directory: of the run or the sweep.
        status: that all records of it should have there.
        reason: a part of each one's.
        since: ``time.monotonic()`` of the cause of the end.
        seconds: is told how long it took.
        else_died: the reason of jobs may be that they died, as well.
    """
    wanted = {run_id for each in left.records(directory).values() if (run_id := left.read(each).run_id)}

    def runs() -> dict[str, stored.Stored]:
        try:
            return {name: run for run in stored.runs(outputs) if (name := run.tags.get("nnlab.run_id")) in wanted}
        except sqlite3.OperationalError:  # nobody has made the tables yet, or somebody is writing
            return {}

    try:
        wait_for(
            lambda: len(found := runs()) == len(wanted) and all(run.status != "RUNNING" for run in found.values()),
            _MIRRORED_WITHIN,
            "all statuses in MLflow",
        )
    except TimeoutError as error:
        yield str(error)
    seconds.note("from the cause to the status in MLflow", time.monotonic() - since)
    for run in runs().values():
        found = run.tags.get("nnlab.reason", "")
        if else_died and run.parent and run.status == "KILLED" and found == DIED:
            continue
        if run.status != status or reason not in found:
            yield f"{run.name} is {run.status} in MLflow, for the reason {found!r}"
