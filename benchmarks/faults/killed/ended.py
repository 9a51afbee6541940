"""Runs that end before their time, by signals, exceptions, want of memory or the death of a process: never RUNNING."""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.killed import broken, orphans, signalled
from benchmarks.faults.killed.endings import Case, Seconds

_CASES: dict[str, Case] = {
    **signalled.CASES,
    **orphans.CASES,
    **broken.CASES,
}
_WITHIN_SECONDS, _WITHIN_SECONDS_OF_TESTS = 10.0, 60.0  # tests have other tests beside them
_QUICK = ("Ctrl-C twice to a run", "an exception in a run", "a run too large for the memory")
_AT_A_TIME = 2  # for each that was asked for: a case mostly waits


def _inject(effort: Effort) -> Found:
    names = [*_CASES] if effort.times is None else list(_QUICK[: effort.times])
    seconds = Seconds(_WITHIN_SECONDS if effort.times is None else _WITHIN_SECONDS_OF_TESTS)
    effort = replace(effort, jobs=_AT_A_TIME * effort.jobs)
    found = each(lambda name: _CASES[name](seconds, random.Random(f"{effort.seed} {name}")), names, effort)
    found.notes.append(f"Tried: {'; '.join(names)}.")
    found.notes += [f"The longest time {what}: {longest:.1f} s." for what, longest in sorted(seconds.longest.items())]
    return found


FAULT = Fault(
    title="Ctrl-C (once, twice), SIGTERM, a closed terminal, an exception in training, too little memory, a killed "
    "worker; trainer and tracker killed together",
    promise="KILLED or FAILED with the reason, in the record within 10 s and then in MLflow, never RUNNING; orphans "
    "closed at the next command",
    inject=_inject,
    times=None,
    short=len(_QUICK),
)
