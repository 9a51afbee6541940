"""Signalled: commands that are asked to end, by a person, a batch system or a terminal that is closed."""

from __future__ import annotations

import functools
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.killed import endings
from benchmarks.faults.killed.endings import DIED, ENDLESS, INTERRUPTED, SWEEP, Case, Seconds
from benchmarks.faults.killed.session import Session

_TWICE_SECONDS = 0.2
_MOST_LATER = 1.0  # seconds of training before the signal comes


@dataclass(frozen=True)
class _Way:
    """How a command is made end, and how it must have ended then.

    Attributes:
        act: makes it end.
        on_terminal: it runs on a terminal of its own.
        code: exit code.
        status: in the journal; None where nobody can have closed it.
        reason: in MLflow.
    """

    act: Callable[[Session], None]
    on_terminal: bool = False
    code: int = 130
    status: str | None = "KILLED"
    reason: str = INTERRUPTED


def _ctrl_c_twice(session: Session) -> None:
    session.type(b"\x03")
    time.sleep(_TWICE_SECONDS)
    session.type(b"\x03")


_WAYS = {
    "SIGTERM": _Way(lambda session: session.signal(signal.SIGTERM)),
    "SIGTERM to the group": _Way(lambda session: session.signal_group(signal.SIGTERM)),
    "SIGINT": _Way(lambda session: session.signal(signal.SIGINT)),
    "Ctrl-C": _Way(lambda session: session.type(b"\x03"), on_terminal=True),
    "Ctrl-C twice": _Way(_ctrl_c_twice, on_terminal=True),
    "the terminal closed": _Way(Session.hang_up, on_terminal=True),
    "Ctrl-\\": _Way(
        lambda session: session.type(b"\x1c"), on_terminal=True, code=-signal.SIGQUIT, status=None, reason=DIED
    ),
}


def _run(_: Path) -> list[str]:
    return ["train", *ENDLESS]


def _sweep(_: Path) -> list[str]:
    return ["train", *SWEEP]


def _resumption(outputs: Path) -> list[str]:
    return ["resume", str(_killed(outputs, _run(outputs)))]


def _resumption_of_sweep(outputs: Path) -> list[str]:
    return ["resume", str(_killed(outputs, _sweep(outputs)))]


def _reproduction(outputs: Path) -> list[str]:
    return ["reproduce", str(_killed(outputs, _run(outputs)))]


def _experiment(_: Path) -> list[str]:
    return ["reproduce", "s1-wine-13-5-5-3"]


_COMMANDS = {
    "a run": _run,
    "a sweep": _sweep,
    "a resumed run": _resumption,
    "a resumed sweep": _resumption_of_sweep,
    "a past run reproduced": _reproduction,
    "an experiment reproduced": _experiment,
}


def _killed(outputs: Path, command: list[str]) -> Path:
    """Let a command train for a moment, and kill it and its tracker; return its directory."""
    session = Session(outputs, command)
    try:
        endings.wait_until_training(session)
    finally:
        session.close()
    return left.begun(outputs)[0]


def _signalled(way: _Way, prepare: Callable[[Path], list[str]], seconds: Seconds, draw: random.Random) -> Iterator[str]:
    with roots.root(is_tracked=True) as outputs:
        command = prepare(outputs)
        session = Session(outputs, command, on_terminal=way.on_terminal)
        try:
            endings.wait_until_training(session, left.recorded(outputs))
            time.sleep(draw.uniform(0, _MOST_LATER))
            since = time.monotonic()
            way.act(session)
            yield from endings.ended(session, way.code, since, seconds)
            directory = left.begun(outputs)[-1]
            if way.code == 130 and way.act is not Session.hang_up and session.said[-1:] != ["nnlab: interrupted"]:
                yield f"its last line is {session.said[-1:]}"
            if not way.on_terminal and len(session.said) != 1:
                yield f"it said more than a line: {' / '.join(session.said)}"
            else_died = prepare is _resumption_of_sweep
            reason = way.reason if way.status else ""
            yield from endings.in_records(directory, way.status, reason, else_died=else_died)
            yield from endings.in_mlflow(outputs, directory, "KILLED", way.reason, since, seconds, else_died=else_died)
        finally:
            session.close()


def _nohup(command: list[str], seconds: Seconds, _: random.Random) -> Iterator[str]:  # noqa: ARG001 - as all cases
    """A terminal that is closed means nothing to a command that was told so."""
    with roots.root(is_tracked=False) as outputs:
        session = Session(outputs, command, on_terminal=True, prefix=("nohup",))
        try:
            endings.wait_until_training(session)
            session.hang_up()
            if (code := session.wait(120)) != 0:
                yield f"it ended with exit code {code}"
            yield from endings.in_records(left.begun(outputs)[0], "FINISHED")
        finally:
            session.close()


_SHORT = ["tracking=none", "training.epochs=400"]

CASES: dict[str, Case] = {
    **{
        f"{name} to {what}": functools.partial(_signalled, way, prepare)
        for name, way in _WAYS.items()
        for what, prepare in _COMMANDS.items()
    },
    "the terminal closed, a run under nohup": functools.partial(_nohup, ["train", *ENDLESS, *_SHORT]),
    "the terminal closed, a sweep under nohup": functools.partial(_nohup, ["train", *SWEEP, *_SHORT]),
}
