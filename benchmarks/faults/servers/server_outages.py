"""Server outages: the tracking server is killed in mid-run, and comes back a minute later, or only much later."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.faults import roots
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.servers.mlflow_server import Server
from benchmarks.faults.servers.tracked_trainer import MOST, Tracked, again, outputs_root

_AT_A_TIME = 5
_SHORT = 1  # trials
_SHORT_MOST = 10.0  # percent: of epochs as short as the short version's
_BEGIN_SECONDS = 180.0
_LEEWAY = 15.0  # seconds that a busy machine may take to say that the wait is over
# Epochs as long as those of real work.
_RUN = (
    "dataset=moons",
    "training.batch_size=1",
    "training.log_every_updates=500",
    "training.diagnostics=[grad_norm,weight_norm]",
)


@dataclass(frozen=True)
class _Trial:
    """An outage.

    Attributes:
        seed: of the run and of the moment.
        seconds: that the server is away; None for good.
        samples: of the data set: how long an epoch takes.
        epochs: of the run.
        wait: `tracking.wait_seconds`.
        is_whole: not the short version: kill when some is mirrored, wait until the tracker has given up.
    """

    seed: int
    seconds: float | None
    samples: int
    epochs: int
    wait: int
    is_whole: bool


def _killed(trial: _Trial, seen: list[str], trained: list[tuple[float, float]]) -> Iterator[str]:
    """Kill the server while a run is mirrored into it, start it again, and yield what is wrong in the end."""
    with roots.root(is_tracked=True) as folder, outputs_root() as outputs:
        server = Server(folder)
        tracked = Tracked(outputs, server.uri)
        try:
            server.start()
            yield from _with_outage(trial, server, tracked, seen)
            trained += tracked.trained()
        finally:
            server.kill()


def _with_outage(trial: _Trial, server: Server, tracked: Tracked, seen: list[str]) -> Iterator[str]:
    arguments = (f"dataset.samples={trial.samples}", f"training.epochs={trial.epochs}", f"seed={trial.seed}")
    trainer = tracked.train(*_RUN, *arguments, f"tracking.wait_seconds={trial.wait}")
    deadline = time.monotonic() + _BEGIN_SECONDS
    while not tracked.has_begun(2) or (trial.is_whole and not server.points() and time.monotonic() < deadline):
        if trainer.poll() is not None or time.monotonic() > 2 * deadline:
            raise RuntimeError(f"the trainer does not train: {tracked.said()[-200:]}")
        time.sleep(0.02)
    time.sleep(random.Random(trial.seed).uniform(0, 2 if trial.is_whole else 0.5))
    server.kill()
    before = server.points()
    if not tracked.is_training():
        yield "the trainer had done before the server was killed"
    if trial.seconds is None:
        yield from _end_without(trial, trainer, tracked, seen)
        server = Server(server.folder)  # another port: another address for the same runs
        tracked = Tracked(tracked.outputs, server.uri)
        server.start()
    else:
        time.sleep(trial.seconds)
        was_training = tracked.is_training()
        server.start()
        code = trainer.wait()
        said = tracked.said()
        if code or "mirrored into MLflow" not in said:
            yield f"the trainer ended with {code}: {said[-300:]}"
        seen.append("training" if was_training else "ended")
    try:
        yield from _all_there(trial, server, tracked, before)
    finally:
        server.kill()


def _end_without(trial: _Trial, trainer: subprocess.Popen[bytes], tracked: Tracked, seen: list[str]) -> Iterator[str]:
    while trainer.poll() is None and not all(
        path.read_bytes().count(b'"type":"status"') for path in tracked.journals()
    ):
        time.sleep(0.05)
    clock = time.monotonic()
    code = trainer.wait()
    waited = time.monotonic() - clock
    said = tracked.said()
    lines = [line for line in said.splitlines() if "all is kept in" in line and "run `nnlab sync`" in line]
    if code or len(lines) != 1:
        yield f"the trainer ended with {code}: {said[-300:]}"
    if waited > trial.wait + _LEEWAY:
        yield f"the trainer waited {waited:.0f} s instead of {trial.wait}"
    seen.append(f"{waited:.1f}")
    if trial.is_whole:
        tracked.wait_for_tracker()
        if "giving up on 1 runs; they are kept in" not in tracked.tracker_log():
            yield f"the tracker said: {tracked.tracker_log()[-300:]}"


def _all_there(trial: _Trial, server: Server, tracked: Tracked, before: int) -> Iterator[str]:
    yield from tracked.standing_still(MOST if trial.is_whole else _SHORT_MOST)
    code, said = tracked.sync()
    if code or "1 run is mirrored" not in said:
        yield f"nnlab sync ended with {code}: {said[-300:]}"
    yield from server.problems(tracked.directories())
    if server.points() <= before:
        yield f"there were {before} points when the server was killed, and there are no more now"
    content = server.content()
    code, said = tracked.sync()
    if code:
        yield f"a second nnlab sync ended with {code}: {said[-300:]}"
    yield from again(content, server.content())
    if len(log := tracked.tracker_log()) > 10_000 or re.search(r"Traceback", log):
        yield f"the tracker's log has {len(log)} bytes: {log[-300:]}"


def _inject(effort: Effort, seconds: float | None) -> Found:
    count = effort.times or _SHORT
    draw = effort.draw()
    is_short = count <= _SHORT
    trials = [
        _Trial(
            draw.randrange(1_000_000),
            min(2.0, seconds) if seconds is not None and is_short else seconds,
            samples=4000 if is_short else 16_000,
            epochs=60 if seconds is not None and not is_short else 30,
            wait=60 if seconds is not None else 1 if is_short else 20,
            is_whole=not is_short,
        )
        for _ in range(count)
    ]
    seen: list[str] = []
    trained: list[tuple[float, float]] = []
    found = each(lambda trial: list(_killed(trial, seen, trained)), trials, Effort(count, effort.seed, _AT_A_TIME))
    if seconds is not None:
        training = seen.count("training")
        found.notes.append(f"When the server came back, {training} of {len(seen)} trainers were still training.")
    elif seen:
        found.notes.append(f"Trainers waited {max(map(float, seen)):.1f} s at most for the server at their end.")
    share = max((share for _, share in trained), default=0.0)
    found.notes.append(f"No trainer made a network call, or spent over {share:.2f} % in recording.")
    if trained:
        found.notes.append(
            f"They trained for {min(trained)[0]:.0f} to {max(trained)[0]:.0f} s, {_AT_A_TIME} at a time."
        )
    return found


KILLED = Fault(
    "The tracking server is killed for 60 s in mid-run",
    "trainer blocked in recording calls, its checkpoints included, under 1 % of its time (10 % in the short version), "
    "all there after, a second sync adds 0 rows",
    lambda effort: _inject(effort, 60.0),
    times=10,
    short=_SHORT,
)
GONE = Fault(
    "The tracking server is killed for good in mid-run",
    "the same, once `nnlab sync` has been run with another server; no process stays",
    lambda effort: _inject(effort, None),
    times=3,
    short=_SHORT,
)
