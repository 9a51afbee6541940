"""System calls of a process, seen and killed by strace."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"(?P<thread>\d+ +)?(?:<\.\.\. \w+ resumed>)?(?P<text>.*?)(?P<unfinished> <unfinished \.\.\.>)?")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)")
SYNCS = ("fsync", "fdatasync")


class Call(NamedTuple):
    """One system call of a log; file descriptors stand in it with their paths, ``4</tmp/file>``."""

    name: str
    arguments: str
    result: str
    thread: str = ""

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
    """Trace a thread that waits for something until it has ended; with the option -f all of its process too."""
    command = ["strace", "-y", "-o", str(log), *options, "-p", str(pid)]
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
    """Return strace's option -e for SIGKILL before a thread's system call of that name and number, from 1 on."""
    return f"inject={name}:signal=KILL:when={number}"


def read(log: Path) -> list[Call]:
    """Return the calls of a log, whole ones in their order.

    One during which another thread has made calls of its own has the place of its end, but a sync that of its
    beginning: it is only known to bring onto the disk what had been written by then.
    """
    calls: list[Call | None] = []
    begun: dict[str, tuple[int, str]] = {}
    for line in log.read_text().splitlines():
        match = _LINE.fullmatch(line)
        assert match is not None  # noqa: S101 - any line is one
        thread = (match["thread"] or "").strip()
        place, before = begun.pop(thread, (len(calls), ""))
        text = before + match["text"]
        if match["unfinished"]:
            begun[thread] = (len(calls), text)
            calls.append(None)
        elif found := _CALL.match(text):
            call = Call(found["name"], found["arguments"], found["result"], thread)
            if before and call.name in SYNCS:
                calls[place] = call
            else:
                calls.append(call)
    return [call for call in calls if call is not None]


def places(calls: Sequence[Call], begins: str = "") -> list[tuple[str, int]]:
    """Return each call as its name and the number that it has among those of that name and of its thread.

    Args:
        calls: all.
        begins: what stands in the arguments of the first one that is wanted.
    """
    counts = Counter[tuple[str, str]]()
    found: dict[tuple[str, int], None] = {}
    for call in calls:
        counts[call.thread, call.name] += 1
        if found or begins in call.arguments:
            found[call.name, counts[call.thread, call.name]] = None
    return [*found]
