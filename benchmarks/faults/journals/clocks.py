"""Clocks: a system clock that is set back or forward while a run trains, by a library loaded before the C one."""

from __future__ import annotations

import csv
import functools
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults import stopped_run

_THEN = "checkpoints/epoch-000002"  # once it is there, the clock is moved
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static long number(const char *name) { const char *text = getenv(name); return text ? atol(text) : 0; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += number("CLOCK_FIRST") + (access(getenv("CLOCK_WHEN"), F_OK) ? 0 : number("CLOCK_THEN"));
    return code;
}
"""


@dataclass(frozen=True)
class Move:
    """What the clock does.

    Attributes:
        name: for people.
        first: seconds that it is ahead when a run begins.
        then: seconds that it is moved while the run trains; None: the run is stopped and resumed instead, and the
            clock is right then.
    """

    name: str
    first: int
    then: int | None = None


MOVES = (
    Move("set back by an hour while a run trained", 0, -3600),
    Move("an hour ahead until the run was resumed", 3600),
    Move("set back by a second while a run trained", 0, -1),
    Move("set forward by a day while a run trained", 0, 86_400),
    Move("set back to 1970 while a run trained", 0, -1_700_000_000),
    Move("ten years ahead until the run was resumed", 315_000_000),
)


def try_(folder: Path, move: Move, *, is_tracked: bool = True) -> Iterator[str]:
    """Train, perhaps resume, and yield what is out of the order of time in journal, history and MLflow."""
    place = Path(tempfile.mkdtemp(dir=folder))
    run = place / "outputs" / "runs" / "a"
    environment = {
        **os.environ,
        "LD_PRELOAD": str(_library(folder)),
        "NNLAB_OUTPUTS": str(place / "outputs"),
        "MLFLOW_TRACKING_URI": "",
        "CLOCK_FIRST": str(move.first),
        "CLOCK_WHEN": str(run / _THEN),
        "CLOCK_THEN": str(move.then or 0),
    }
    setting = [each for each in stopped_run.SETTING if each != "tracking=none" or not is_tracked]
    _command(environment, "train", *setting, f"hydra.run.dir={run}")
    first = stopped_run.events(run)[0]["timestamp"]
    if move.then is None:
        finished = run.rename(place / "finished")
        stopped_run.stop(finished, run)
        for cursor in run.glob(".mlflow-*"):
            cursor.unlink()
        shutil.rmtree(place / "outputs" / "artifacts", ignore_errors=True)
        (place / "outputs" / "mlflow.db").unlink(missing_ok=True)
        _command({**environment, "CLOCK_FIRST": "0"}, "resume", str(run))
        yield from stopped_run.differences(run, finished)
    events = stopped_run.events(run)
    times = [event["timestamp"] for event in events]
    if times != sorted(times):
        yield "the journal's lines are not in the order of time"
    if move.then is not None and move.then < 0 and times[-1] - first > 600_000:
        yield f"a run of seconds has lasted {times[-1] - first} ms"
    with (run / "history.csv").open(newline="") as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    if epochs != sorted(epochs) or len(epochs) != max(epochs) + 1:
        yield f"history.csv has the epochs {epochs}"
    if any(value < 0 for event in events for name, value in _numbers(event) if name.startswith("time/")):
        yield "an epoch has lasted less than no time"
    if is_tracked:
        _command({**environment, "LD_PRELOAD": ""}, "sync")
        yield from _in_mlflow(place / "outputs" / "mlflow.db", events)


def _numbers(event: dict[str, dict[str, float]]) -> Iterator[tuple[str, float]]:
    yield from event.get("metrics", {}).items()


def _in_mlflow(store: Path, events: list[dict[str, object]]) -> Iterator[str]:
    with sqlite3.connect(store) as database:
        ((status, start, end),) = database.execute("SELECT status, start_time, end_time FROM runs")
        rows = database.execute("SELECT key, step, timestamp FROM metrics ORDER BY key, step, timestamp").fetchall()
    if status != "FINISHED" or start > end:
        yield f"in MLflow the run is {status} from {start} to {end}"
    for (key, step, time), (next_key, _, next_time) in itertools.pairwise(rows):
        if key == next_key and next_time < time:
            yield f"in MLflow {key} of the step behind {step} is older"
            break
    recorded = {(name, event["step"]) for event in events for name, _ in _numbers(event)}  # type: ignore[arg-type]
    if {(key, step) for key, step, _ in rows} != recorded or len(rows) != len(recorded):
        yield f"MLflow has {len(rows)} numbers, the journal {len(recorded)}"


def _command(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nnlab", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ends with {done.returncode}: {done.stderr[-500:]}")


@functools.cache
def _library(folder: Path) -> Path:
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
