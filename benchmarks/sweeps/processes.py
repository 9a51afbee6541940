"""Processes of an outputs root, from Linux's /proc: a command's own, its workers and its tracker; memory and time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_SECONDS = 0.5


@dataclass
class Usage:
    """Of one process, from its beginning.

    Attributes:
        role: ``main``, ``worker``, ``tracker``, or ``helper`` for what some of them start themselves.
        peak: the most memory that it had resident, bytes.
        seconds: of processor time.
    """

    role: str
    peak: int = 0
    seconds: float = 0.0


def of(outputs: Path) -> Iterator[tuple[int, str]]:
    """Yield id and role of each living process that works for an outputs root, which stands in its environment."""
    mark = f"NNLAB_OUTPUTS={outputs}".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name), _role((entry / "cmdline").read_bytes())


def _role(command: bytes) -> str:
    """Return what a process is for, from its command line."""
    roles = {b"\0--follow\0": "tracker", b"popen_loky": "worker", b"\0nnlab\0": "main"}
    return next((role for mark, role in roles.items() if mark in command), "helper")


def kill(outputs: Path, *roles: str) -> None:
    """Kill the processes of an outputs root, or those of some roles only."""
    for pid, role in of(outputs):
        if not roles or role in roles:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Sampler:
    """Looks twice a second, within a ``with`` block, what the processes of an outputs root have used so far.

    Args:
        outputs: the outputs root.

    Attributes:
        usages: id of a process -> what it has used.
    """

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.usages: dict[int, Usage] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def peak(self, role: str) -> int:
        """Return the most memory that a process of a role had resident, bytes; 0 if none was seen."""
        return max((usage.peak for usage in self.usages.values() if usage.role == role), default=0)

    def seconds(self, role: str) -> float:
        """Return the processor time of all processes of a role, to the last look."""
        return sum(usage.seconds for usage in self.usages.values() if usage.role == role)

    def _watch(self) -> None:
        while not self._is_over.wait(_SECONDS):
            for pid, role in of(self.outputs):
                with contextlib.suppress(OSError):
                    self._look(pid, role)

    def _look(self, pid: int, role: str) -> None:
        status = (_PROC / str(pid) / "status").read_text()
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
        if peak is None:  # it has just ended
            return
        times = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        usage = self.usages.setdefault(pid, Usage(role))
        usage.role, usage.peak = role, 1024 * int(peak)
        usage.seconds = (int(times[11]) + int(times[12])) / _TICKS
