"""Tracked trainer: `nnlab train` that is mirrored into a server, and how long it stood still for that."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults import mirrored, roots
from benchmarks.sweeps import processes

_LOG, _CALLS = "command.log", "calls.log"
_SHARE = re.compile(r"trained in ([\d.]+) s, ([\d.]+) % of it spent in recording")
MOST = 1.0
"""Percent of its time in which a trainer may be blocked."""
_LEAVING_SECONDS = 420.0


@contextmanager
def outputs_root(*, in_memory: bool = False) -> Iterator[Path]:
    """Give an outputs root, and remove it unless something goes wrong.

    Args:
        in_memory: not on a disk, for runs so short that the syncs of three checkpoints would be a hundredth of them.
    """
    memory = Path("/dev/shm")  # noqa: S108 - no file of a name that somebody could guess
    place = memory if in_memory and memory.is_dir() else None
    outputs = Path(tempfile.mkdtemp(prefix="nnlab-fault-", dir=place)).resolve()
    try:
        yield outputs
    except BaseException:
        processes.kill(outputs)
        raise
    roots.remove(outputs)


class Tracked:
    """An outputs root whose runs go to a server.

    Args:
        outputs: the outputs root.
        uri: of the server.
        timeout: seconds that MLflow's client waits for an answer; None for what nnlab sets.
    """

    def __init__(self, outputs: Path, uri: str, timeout: str | None = None) -> None:
        self.outputs, self.uri = outputs, uri
        self._environment = {
            **os.environ,
            "NNLAB_OUTPUTS": str(outputs),
            "MLFLOW_TRACKING_URI": uri,
            "OPENBLAS_NUM_THREADS": "1",
            **({} if timeout is None else {"MLFLOW_HTTP_REQUEST_TIMEOUT": timeout}),
        }
        self._trainer = 0

    def train(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `nnlab train`, with each connection that it or its tracker makes written down."""
        # -D makes strace the one that is started by the other; a filter in the kernel lets all else pass unhindered.
        strace = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", str(self.outputs / _CALLS)]
        trainer = self._start([*strace, "-e", "trace=connect", "-e", "signal=none"], "train", *arguments)
        self._trainer = trainer.pid
        return trainer

    def sync(self) -> tuple[int, str]:
        """Run `nnlab sync`; return its exit code and what it says."""
        code = self._start([], "sync").wait()
        return code, self.said()

    def said(self) -> str:
        """Return what the last command has printed."""
        return (self.outputs / _LOG).read_text(errors="backslashreplace")

    def directories(self) -> list[Path]:
        """Return the runs that there are."""
        return mirrored.journals(self.outputs)

    def journals(self) -> list[Path]:
        """Return the runs' journals."""
        return [each / mirrored.JOURNAL for each in self.directories()]

    def has_begun(self, epochs: int) -> bool:
        """Say whether a run has that many lines of metrics."""
        return any(path.read_bytes().count(b'"type":"metrics"') > epochs for path in self.journals())

    def tracker_log(self) -> str:
        """Return what its trackers have said."""
        return "".join(path.read_text(errors="backslashreplace") for path in self.outputs.glob(".tracker-*.log"))

    def wait_for_tracker(self) -> float:
        """Wait until no process of the outputs root is left, and return the seconds.

        Raises:
            RuntimeError: some stay.
        """
        clock = time.monotonic()
        while left := [role for _, role in processes.of(self.outputs)]:
            if time.monotonic() - clock > _LEAVING_SECONDS:
                raise RuntimeError(f"alive after {_LEAVING_SECONDS:g} s: {', '.join(left)}")
            time.sleep(0.2)
        return time.monotonic() - clock

    def trained(self) -> list[tuple[float, float]]:
        """Return what each run's log says: the seconds that it trained, and percent of them in recording calls."""
        logs = [(each / "train.log").read_text() for each in self.directories()]
        return [(float(found[1]), float(found[2])) for log in logs if (found := _SHARE.search(log))]

    def is_training(self) -> bool:
        """Say whether a run is not closed yet."""
        return not all(path.read_bytes().count(b'"type":"status"') for path in self.journals())

    def standing_still(self, most: float) -> Iterator[str]:
        """Yield what is wrong with a trainer that should never have waited for its tracker, and come to its end.

        Args:
            most: percent of its time that it may have spent in recording.
        """
        for directory in self.directories():
            last = json.loads((directory / mirrored.JOURNAL).read_bytes().splitlines()[-1])
            if last.get("status") != "FINISHED":
                yield f"the run's last line is {last}"
        shares = [share for _, share in self.trained()]
        if not shares or max(shares) >= most:
            yield f"percent of the time spent in recording: {shares}"
        calls = [line.split(None, 1) for line in (self.outputs / _CALLS).read_text(errors="replace").splitlines()]
        asked = [(int(thread), call) for thread, call in calls if "sin_port" in call or "sin6_port" in call]
        if own := [call for thread, call in asked if thread == self._trainer]:
            yield f"the trainer asked the network: {own[0]}"
        if not asked and most == MOST:  # in a short run the tracker may come too late
            yield "nobody asked the network, not even the tracker"

    def _start(self, prefix: Sequence[str], *arguments: str) -> subprocess.Popen[bytes]:
        with (self.outputs / _LOG).open("wb") as log:
            return subprocess.Popen(
                [*prefix, sys.executable, "-m", "nnlab", *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def again(content: dict[str, list[str]], after: dict[str, list[str]]) -> Iterator[str]:
    """Yield what a second `nnlab sync` has changed in a server."""
    for table in content.keys() | after.keys():
        before, now = content.get(table, []), after.get(table, [])
        if before != now:
            other = [row for row in now if row not in before] or [row for row in before if row not in now]
            yield f"a second sync: {table} has {len(now)} rows instead of {len(before)}, or other ones: {other[:1]}"
