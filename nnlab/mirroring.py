"""Mirroring: a command says first where its runs go, and waits in the end until they are in MLflow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from nnlab import paths
from nnlab.output import say
from nnlab.terminal import console
from nnlab.tracking import cursor, follower, store

_LINE_SECONDS = 10.0  # between two lines where the output is no terminal


def say_where(is_tracked: bool = True) -> None:
    """Print the outputs root and the store."""
    outputs = paths.outputs_dir()
    say(f"outputs  {outputs}")
    say(f"store    {store.shown(store.uri(outputs)) if is_tracked else 'none (tracking=none)'}")


def wait_until_mirrored(
    is_tracked: bool, directories: Sequence[Path], seconds: float, since: str = "the end of training"
) -> None:
    """Wait until runs are in MLflow, and say how to look at them, or what is in the way.

    Args:
        is_tracked: whether they are to be mirrored at all.
        directories: of the runs.
        seconds: to wait at most since something has come forward.
        since: what has just been done.
    """
    if not is_tracked:
        return
    outputs = paths.outputs_dir()
    started = time.monotonic()
    try:
        with _Display(len(directories)) as display:
            is_mirrored = follower.wait(outputs, directories, seconds, display.show)
    except KeyboardInterrupt:
        say("interrupted: all is recorded, and the tracker goes on bringing it into MLflow")
        raise
    if is_mirrored:
        say(f"mirrored into MLflow, {time.monotonic() - started:.1f} s after {since}")
        say("look at it with: nnlab ui")
        return
    key = store.key(store.uri(outputs))
    left = [directory for directory in directories if not cursor.is_mirrored(directory, key)]
    some, since = (f"{len(left)} of {len(directories)} runs are ", " of the last") if len(directories) > 1 else ("", "")
    problem = next(filter(None, (cursor.read(directory, key).problem for directory in left)), None)
    if problem:
        say(f"{some}not mirrored: {problem}; all is kept in {outputs}")
    else:
        log = follower.log_path(outputs, store.uri(outputs))
        say(f"{some}not mirrored within {seconds:g} s{since}: all is kept in {outputs}, run `nnlab sync` (log: {log})")


class _Display:
    """Says how many runs are mirrored: on a terminal all the time, elsewhere in a line now and then."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._console = console()
        self._status = self._console.status("mirroring into MLflow")
        self._next_line = time.monotonic() + _LINE_SECONDS

    def __enter__(self) -> _Display:
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def show(self, mirrored: int) -> None:
        if self._runs == 1:
            return
        text = f"mirroring into MLflow: {mirrored} of {self._runs} runs"
        if self._console.is_terminal:
            self._status.update(text)
        elif time.monotonic() > self._next_line and mirrored < self._runs:
            self._next_line = time.monotonic() + _LINE_SECONDS
            say(text)
