"""Threads: NumPy's BLAS, and how many threads it takes of how many cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nnlab.doctor.remark import Remark, count, trouble

_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check which BLAS there is, whether there are several of different kinds, and its threads."""
    import scipy.linalg  # noqa: F401 - which brings a BLAS of its own
    from threadpoolctl import threadpool_info

    from nnlab import environment

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    kinds = sorted({str(pool["internal_api"]) for pool in pools})
    if len(kinds) > 1:
        text = f"NumPy and SciPy bring different kinds of BLAS ({', '.join(kinds)}), which take each other's cores"
        yield trouble("threads", text, "install both from the same source, PyPI or conda")
    threads = max((int(pool["num_threads"]) for pool in pools), default=1)
    if threads > cores():
        text = f"BLAS takes {threads} threads on {count(cores(), 'core')}"
        yield trouble("threads", text, f"set OMP_NUM_THREADS={cores()}, or training.blas_threads={cores()}")
    elif len(kinds) <= 1:
        yield Remark("threads", f"{environment.blas()}, {count(threads, 'thread')} on {count(cores(), 'core')}")


def variables(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check the variables that set BLAS threads."""
    for name in _VARIABLES:
        text = os.environ.get(name)
        if not text:
            continue
        first = text.partition(",")[0].strip()  # OpenMP takes a list, a number a level
        if not first.isdecimal() or int(first) == 0:
            yield trouble("threads", f"{name}={text!r} is no number of threads", f"unset {name}")
        elif int(first) > cores():
            yield trouble("threads", f"{name}={text} is more than the {count(cores(), 'core')} here", f"unset {name}")


def quota(outputs: Path) -> Iterator[Remark]:  # noqa: ARG001 - every check takes it
    """Check whether a container has less processor time than cores, which BLAS doesn't know."""
    try:
        allowed, period = _QUOTA.read_text(encoding="ascii").split()
        share = cores() if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):  # no cgroups, or those of version 1
        return
    if share < cores() - 0.5:
        text = f"this container gets the time of {share:.3g} of its {count(cores(), 'core')}, and BLAS counts the cores"
        yield trouble("threads", text, f"set OMP_NUM_THREADS={max(1, int(share))}")
