"""Signals: what asks a run to end is one KeyboardInterrupt, and the closing of its record is left in peace.

All is put back afterwards, for we may run in a notebook.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_CLOSING_SECONDS = 10.0  # that a first one has for what it sets off

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end: Ctrl-C, a batch system's, a terminal that was closed."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and the end of the terminal raise one KeyboardInterrupt; only the main thread can.

    Further ones don't break the closing of records that the first one sets off: those that come within ten seconds are
    ignored, and Ctrl-C is told so. What was ignored before (``nohup``, jobs in the background) stays ignored. Within
    another such block this one does nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ENDING} if is_main else {}
    if any(isinstance(handler, _Interrupt) for handler in before.values()):
        before = {}
    interrupt = _Interrupt()
    changed = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in changed:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Put the interrupt of an ``interruptible`` block off until the end of this one, which should be short."""
    handlers = (signal.getsignal(number) for number in ENDING)
    interrupt = next((handler for handler in handlers if isinstance(handler, _Interrupt)), None)
    if interrupt is None:
        yield
        return
    interrupt.held += 1
    try:
        yield
    finally:
        interrupt.held -= 1
        if interrupt.put_off and not interrupt.held:
            number, interrupt.put_off = interrupt.put_off, 0
            interrupt(number, None)


class _Interrupt:
    """The handler of one block.

    Attributes:
        held: how many ``held`` blocks there are around.
        put_off: number of the signal that came within them; 0 if none has.
    """

    def __init__(self) -> None:
        self._patient_until = 0.0
        self.held = self.put_off = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.held:
            self.put_off = number
            return
        if number not in (signal.SIGINT, signal.SIGTERM):
            _leave_terminal()
        now = time.monotonic()
        if now < self._patient_until:
            if number == signal.SIGINT:
                _tell("nnlab: the records are being closed, one moment\n")
            return
        self._patient_until = now + _CLOSING_SECONDS
        raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Send nowhere what would go to a terminal that has gone: to write there is an error."""
    for fd in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(fd).st_mode) and not os.isatty(fd):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, fd)
                os.close(nowhere)


def _tell(line: str) -> None:
    with suppress(OSError):
        os.write(2, line.encode())  # not by way of sys.stderr, which may be in the midst of a line


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Let SIGPIPE end the process quietly (`| head`), where each line is logged and logging would complain."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)
