"""Writers: two processes at one run's record, of which only one may get it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.faults import stopped_run
from benchmarks.faults.stopped_run import JOURNAL
from benchmarks.faults.warm import Warm

_SECONDS = 120.0
_LONG = ("training.epochs=1000000", "training.log_every_updates=null", "checkpoint.every=null")
_REFUSED = ("another process", "holds a run already", "in use or not empty", "nothing to do")

Ended = tuple[int, str, str]  # exit code, output, errors
Scene = Callable[[Warm, Path, Path], Iterator[str]]


def try_(warm: Warm, finished: Path, stopped: Path, scene: Scene) -> Iterator[str]:
    """Play a scene in a directory of its own and yield what has gone wrong.

    Args:
        warm: has the place, and the environment.
        finished: a run.
        stopped: the same as it was before its end.
        scene: of ``SCENES``.
    """
    try:
        yield from scene(warm, finished, stopped)
    finally:
        for name in ("trial", "copy"):
            shutil.rmtree(warm.outputs / "runs" / name, ignore_errors=True)


def _resumed_while_it_trains(warm: Warm, finished: Path, stopped: Path) -> Iterator[str]:  # noqa: ARG001 - a scene's
    run = warm.outputs / "runs" / "trial"
    trainer = _start(warm, "train", *stopped_run.SETTING, *_LONG, f"hydra.run.dir={run}")
    try:
        _wait(lambda: (run / JOURNAL).is_file() and b'"step":3' in (run / JOURNAL).read_bytes())
        before = _hydra(run)
        for command in (["resume", str(run)], ["train", *stopped_run.SETTING, f"hydra.run.dir={run}"]):
            ended = warm.run(command, seconds=60)
            yield from _second((ended.code or 0, ended.out, ended.err))
        if _hydra(run) != before:
            yield "the second one has changed .hydra"
        if trainer.poll() is not None:
            yield "the first one has ended"
    finally:
        trainer.kill()
        trainer.wait()
    steps = [event["step"] for event in stopped_run.events(run)[:-1] if "lr" in str(event.get("metrics"))]
    if steps != [*range(1, len(steps) + 1)]:
        yield "its epochs are not one after the other"


def _two_resume_at_once(warm: Warm, finished: Path, stopped: Path) -> Iterator[str]:
    run = Path(shutil.copytree(stopped, warm.outputs / "runs" / "trial"))
    both = [_start(warm, "resume", str(run)) for _ in range(2)]
    yield from _one_of([_end(each) for each in both])
    yield from stopped_run.differences(run, finished)


def _two_train_at_once(warm: Warm, finished: Path, stopped: Path) -> Iterator[str]:  # noqa: ARG001 - a scene's
    run = warm.outputs / "runs" / "trial"
    both = [_start(warm, "train", *stopped_run.SETTING, f"hydra.run.dir={run}") for _ in range(2)]
    yield from _one_of([_end(each) for each in both])
    yield from stopped_run.differences(run, finished)


def _trained_into_a_finished_run(warm: Warm, finished: Path, stopped: Path) -> Iterator[str]:  # noqa: ARG001
    run = Path(shutil.copytree(finished, warm.outputs / "runs" / "trial"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = warm.run(["train", *stopped_run.SETTING, "seed=5", f"hydra.run.dir={run}"], seconds=60)
    yield from _second((ended.code or 0, ended.out, ended.err))
    if {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} != before:
        yield "something in the directory has changed"


def _a_run_and_its_copy_resumed(warm: Warm, finished: Path, stopped: Path) -> Iterator[str]:
    runs = [Path(shutil.copytree(stopped, warm.outputs / "runs" / name)) for name in ("trial", "copy")]
    for run in runs:
        if (ended := warm.run(["resume", str(run)], seconds=60)).code:
            yield f"resume ends with {ended.code}: {ended.err}"
        yield from stopped_run.differences(run, finished)


SCENES: tuple[Scene, ...] = (
    _trained_into_a_finished_run,
    _resumed_while_it_trains,
    _two_resume_at_once,
    _two_train_at_once,
    _a_run_and_its_copy_resumed,
)


def _start(warm: Warm, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nnlab", *arguments],
        env=warm.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> Ended:
    try:
        output, errors = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    return process.returncode, output, errors


def _one_of(both: list[Ended]) -> Iterator[str]:
    """Yield what is wrong unless one has done it and the other was refused, or has come when all was done."""
    both.sort(key=lambda ended: (ended[0], "nothing to do" in ended[1]))
    if both[0][0]:
        yield f"neither has ended well: {both[0][2]}"
    yield from _second(both[1])


def _second(ended: Ended) -> Iterator[str]:
    code, output, errors = ended
    if not any(word in (errors if code else output) for word in _REFUSED) or errors.count("\n") > 1:
        yield f"the second one ends with {code}: {output[-200:]} {errors[-500:]}"


def _wait(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise RuntimeError("the run does not begin")
        time.sleep(0.02)


def _hydra(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / ".hydra").iterdir()}
