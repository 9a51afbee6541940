"""System calls of a process, seen and killed by strace."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_CALL = re.compile(r"(?:\d+ +)?(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)")


class Call(NamedTuple):
    """One system call of a log; file descriptors stand in it with their paths, ``4</tmp/file>``."""

    name: str
    arguments: str
    result: str

    @property
    def has_failed(self) -> bool:
        """Whether it changed nothing."""
        return self.result.startswith(("-1 ", "?"))

    def path(self, place: int = 0) -> Path:
        """Return the path in quotes at a place, or that of the file descriptor where there are none."""
        quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', self.arguments)
        if self.name in ("write", "fsync", "fdatasync", "close", "ftruncate") or not quoted:
            (found,) = re.findall(r"^\d+<([^>]*)>", self.arguments)
            return Path(found)
        return Path(quoted[place])


@contextmanager
def attached(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Trace a process that waits for something until it has ended."""
    command = ["strace", "-f", "-y", "-o", str(log), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            assert strace.stderr is not None  # noqa: S101 - a pipe was asked for
            line = strace.stderr.readline()
            if b"attached" not in line:
                raise RuntimeError(line.decode().strip())
            yield
        finally:
            strace.terminate()
            strace.communicate()


def kill_at(name: str, number: int) -> str:
    """Return strace's option -e for SIGKILL before a process's system call of that name and number, from 1 on."""
    return f"inject={name}:signal=KILL:when={number}"


def read(log: Path) -> list[Call]:
    """Return the calls of a log of a single process, whole ones in their order."""
    found = (_CALL.match(line) for line in log.read_text().splitlines())
    return [Call(match["name"], match["arguments"], match["result"]) for match in found if match]


def places(calls: Sequence[Call], begins: str = "") -> list[tuple[str, int]]:
    """Return each call as its name and the number that it has among those of that name.

    Args:
        calls: all.
        begins: what stands in the arguments of the first one that is wanted.
    """
    counts = Counter[str]()
    found: list[tuple[str, int]] = []
    for call in calls:
        counts[call.name] += 1
        if found or begins in call.arguments:
            found.append((call.name, counts[call.name]))
    return found
