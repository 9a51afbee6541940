"""Processor time of processes that others have started, those that they started and have ended included."""

from __future__ import annotations

import psutil


def of(pid: int) -> float:
    """Return the seconds that a process and all below it have had."""
    total = 0.0
    try:
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    except psutil.NoSuchProcess:
        pass
    return total
