"""Mirroring: a command says first where its runs go, and waits in the end until they are in MLflow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from nnlab import paths
from nnlab.output import say
from nnlab.terminal import console
from nnlab.tracking import cursor, follower, store


def say_where(is_tracked: bool = True) -> None:
    """Print the outputs root and the store."""
    outputs = paths.outputs_dir()
    say(f"outputs  {outputs}")
    say(f"store    {store.shown(store.uri(outputs)) if is_tracked else 'none (tracking=none)'}")


def wait_until_mirrored(is_tracked: bool, directories: Sequence[Path], seconds: float) -> None:
    """Wait until runs are in MLflow, and say how to look at them, or what is in the way.

    Args:
        is_tracked: whether they are to be mirrored at all.
        directories: of the runs.
        seconds: to wait at most.
    """
    if not is_tracked:
        return
    outputs = paths.outputs_dir()
    started = time.monotonic()
    with console().status("mirroring into MLflow"):
        is_mirrored = follower.wait(outputs, directories, seconds)
    if is_mirrored:
        say(f"mirrored into MLflow, {time.monotonic() - started:.1f} s after the end of training")
        say("look at it with: nnlab ui")
        return
    key = store.key(store.uri(outputs))
    problem = next(filter(None, (cursor.read(directory, key).problem for directory in directories)), None)
    if problem:
        say(f"not mirrored: {problem}; all is kept in {outputs}")
    else:
        log = follower.log_path(outputs, store.uri(outputs))
        say(f"not mirrored within {seconds:g} s: all is kept in {outputs}, run `nnlab sync` (log: {log})")
