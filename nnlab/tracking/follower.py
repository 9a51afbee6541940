"""Follower: starts the tracker process, ``nnlab sync --follow --exit-when-idle``, and waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from nnlab import locks
from nnlab.tracking import cursor, runs, store

DETACH = "NNLAB_DETACH"
"""Set in the environment of a tracker that is to leave its starter's process tree and, later, its session."""

_GLANCE = 20  # runs looked at every 50 ms by those who wait

_started: list[tuple[float, subprocess.Popen[bytes]]] = []  # by this process: when and what; it detaches at once


def lock_path(outputs: Path, uri: str) -> Path:
    """Return the file that the one tracker of an outputs root and a store holds locked."""
    return outputs / f".tracker-{store.key(uri)}.lock"


def log_path(outputs: Path, uri: str) -> Path:
    """Return where that tracker writes what it has to say."""
    return outputs / f".tracker-{store.key(uri)}.log"


def ensure(outputs: Path, directories: Sequence[Path] = ()) -> None:
    """Start the tracker unless there is one, and return at once.

    It gets a process group of its own, so that Ctrl-C does not reach it, and a log file instead of our pipes, so that
    nobody who reads them waits for it. It becomes a session of its own when its start-up is over: Linux shares the
    cores out among sessions first, and within ours the idle priority, which it gives itself, keeps its start-up out of
    the trainer's way (in a session of its own it took 1.4 % of each core and made the trainer's recording calls three
    times as long). Where that would leave it no time at all, see ``detaching.at_leisure``.

    Args:
        outputs: the outputs root.
        directories: runs it has to know about.
    """
    for directory in directories:
        runs.note(outputs, directory)
    uri = store.uri(outputs)
    outputs.mkdir(parents=True, exist_ok=True)
    if locks.is_locked(lock_path(outputs, uri)):
        return
    with log_path(outputs, uri).open("ab") as log:
        tracker = subprocess.Popen(
            [sys.executable, "-m", "nnlab", "sync", "--follow", "--exit-when-idle"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
            env={**os.environ, "NNLAB_OUTPUTS": str(outputs), "MLFLOW_TRACKING_URI": uri, DETACH: "1"},
        )
    _started.append((time.monotonic(), tracker))


def wait(
    outputs: Path, directories: Sequence[Path], seconds: float, progress: Callable[[int], None] = lambda _: None
) -> bool:
    """Wait until the runs are mirrored, starting the tracker again should it be gone; say whether they are.

    Where one can't be mirrored, as its experiment was deleted, the answer comes as soon as the tracker knows.

    Args:
        outputs: the outputs root.
        directories: of the runs.
        seconds: to wait at most since something has come forward.
        progress: takes how many runs there is nothing more to wait for.
    """
    uri = store.uri(outputs)
    key = store.key(uri)
    left = deque(directories)
    offsets: dict[Path, object] = {}
    last_progress = time.monotonic()
    # One that was just started takes a moment to get its lock; one that was killed is replaced at once.
    next_start = max((when + 5 for when, _ in _started), default=0.0)
    while True:
        for _ in range(min(_GLANCE, len(left))):  # by turns: a look at a thousand would take the tracker's core
            directory = left.popleft()
            is_settled, offset = cursor.settled(directory, key)
            if is_settled:
                progress(len(directories) - len(left))
            else:
                left.append(directory)
            if is_settled or offsets.get(directory, offset) != offset:
                last_progress = time.monotonic()
            offsets[directory] = offset
        if not left or time.monotonic() - last_progress >= seconds:
            return all(cursor.is_mirrored(directory, key) for directory in directories)
        if time.monotonic() > next_start:
            ensure(outputs)
            next_start = time.monotonic() + 10
        time.sleep(0.05)
