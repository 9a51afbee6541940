"""Detaching: a tracker becomes independent of the trainer that started it, and stays out of the way of all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab.tracking.follower import DETACH

_PATIENCE_SECONDS = 5.0


def leave_process_tree() -> None:
    """Become nobody's child and no process group's leader, and outlive the terminal; only for a trainer's tracker."""
    if os.environ.get(DETACH) and sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # A sweep's worker is deaf to these, and what it starts inherits that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.fork():
            os._exit(0)


def leave_session() -> None:
    """Start a session of our own, once what takes time is over: see ``follower.ensure``."""
    if os.environ.pop(DETACH, None) and sys.platform != "win32":
        os.setsid()


@contextmanager
def at_leisure() -> Iterator[None]:
    """Do what takes two seconds of a core in our starter's session, unless that leaves us none of it.

    Where the trainers take all cores, a process of idle priority beside them would not be done before them. In a
    session of its own it gets a share.
    """
    if not os.environ.get(DETACH) or sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGALRM, lambda *_: leave_session())
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def set_priority(*, low: bool) -> None:
    """Yield to trainers while one is at work: at normal priority our start-up alone would slow it down."""
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # there may be no way back without privileges
            os.sched_setscheduler(0, os.SCHED_IDLE if low else os.SCHED_OTHER, os.sched_param(0))
        if os.getsid(0) == os.getpid():  # Linux shares the cores out among sessions first, and this one is ours alone
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text("19" if low else "0", encoding="ascii")
    elif low and hasattr(os, "nice"):
        os.nice(19)  # there is no way back without privileges; at the lowest priority it goes on to the end
