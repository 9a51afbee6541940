"""The tracker that a trainer starts is out of its reach, and out of its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nnlab.tracking import follower

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab, Processes

LONG = ("train", "dataset=wine", "training.epochs=200000", "training.eval_every=50", "tracking.max_points=null")


def tracker_of(outputs: Path) -> int | None:
    """Return the process that follows an outputs root."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_mine = f"NNLAB_OUTPUTS={outputs}".encode() in environ.read_bytes().split(b"\0")
            is_tracker = b"--follow" in environ.with_name("cmdline").read_bytes().split(b"\0")
        except OSError:  # ended
            continue
        if is_mine and is_tracker:
            return int(environ.parent.name)
    return None


def test_a_tracker_outlives_its_trainers_process_group_and_becomes_a_session(lab: Lab, nnlab: Processes) -> None:
    command = [sys.executable, "-m", "nnlab", *LONG]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as trainer:
        try:
            nnlab.journal(300)
            os.killpg(trainer.pid, signal.SIGSTOP)  # alive, but out of the way: an idle tracker waits for a free core
            lab.wait_for(lambda: bool(lab.database.exists() and lab.sql("select status from runs")))
            tracker = tracker_of(lab.outputs)
            assert tracker is not None
            assert os.getpgid(tracker) != trainer.pid
            assert os.getsid(tracker) == tracker
            assert os.sched_getscheduler(tracker) == os.SCHED_IDLE
            assert Path(f"/proc/{tracker}/stat").read_text().rpartition(")")[2].split()[1] != str(trainer.pid)
        finally:
            os.killpg(trainer.pid, signal.SIGKILL)
    lab.wait_for(lambda: lab.sql("select status from runs") == ["KILLED"])


_STARTED_BY_A_WORKER = """
import os, signal
from nnlab.tracking import detaching
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
signal.signal(signal.SIGINT, signal.SIG_IGN)
detaching.leave_process_tree()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("deaf")
"""


def test_a_tracker_that_a_deaf_worker_started_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(follower.DETACH, "1")
    command = [sys.executable, "-c", _STARTED_BY_A_WORKER]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "interrupted\n"


_SLOW_START = """
import os, sys, time
from nnlab.tracking import detaching
detaching._PATIENCE_SECONDS = float(sys.argv[1])
before = os.getsid(0)
with detaching.at_leisure():
    time.sleep(0.3)
    print(os.getsid(0) == os.getpid())
print(os.getsid(0) == before)
"""


@pytest.mark.parametrize(("patience", "printed"), [("0.05", "True\nFalse\n"), ("30", "False\nTrue\n")])
def test_a_start_that_takes_long_goes_on_in_a_session_of_its_own(
    monkeypatch: pytest.MonkeyPatch, patience: str, printed: str
) -> None:
    monkeypatch.setenv(follower.DETACH, "1")
    command = [sys.executable, "-c", _SLOW_START, patience]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == printed
