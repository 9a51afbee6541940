"""Sync: one pass over the runs of an outputs root, or following them until nothing is left to do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nnlab import journal, journal_lines, locks
from nnlab.errors import NnlabError
from nnlab.tracking import cursor, detaching, failures, runs, store
from nnlab.tracking.backlog import Backlog, sizes
from nnlab.tracking.failures import RefusedError, Reports
from nnlab.tracking.tracker_lock import TrackerLock

if TYPE_CHECKING:
    from nnlab.tracking.mirror import Mirror

_POLL_SECONDS = 0.5
_PASS_SECONDS = 5.0  # until it is seen again who is alive, and who has come
_GRACE_SECONDS = 5.0  # a tracker is started when its trainer begins, perhaps before the journal is there
_GIVE_UP_SECONDS = 120.0  # without a store and without a run that is alive
_LONGEST_PAUSE = 10.0  # between two passes while nothing works
_IN_A_ROW = 3  # runs that fail: it is the store, then


def sync(outputs: Path, report: Callable[[str], None]) -> int:
    """Mirror every run once and say what happened; return how many could not be mirrored.

    A tracker that is at work is waited for. Runs that are still training are mirrored as far as they are.

    Raises:
        NnlabError: the store can't be opened.
    """
    uri = store.uri(outputs)
    with TrackerLock(outputs, uri) as lock:
        if not lock.acquire(0):
            report("a tracker is at work here; waiting until it has finished (Ctrl-C is safe)")
            while not lock.acquire(1):
                pass
        mirror = _mirror(outputs, uri)
        whole = partial = in_a_row = untried = 0
        problems: list[str] = []
        directories = runs.find(outputs)
        for number, directory in enumerate(directories, 1):
            try:
                if mirror.run(directory, verify=True):
                    whole += 1
                else:
                    partial += 1
                in_a_row = 0
            except Exception as error:
                problems.append(f"{directory}: {failures.line(failures.refused(error, uri) or error)}")
                in_a_row = 0 if isinstance(error, NnlabError) else in_a_row + 1
            if in_a_row == _IN_A_ROW:
                untried = len(directories) - number
                break
    report(
        f"{whole} {'run is' if whole == 1 else 'runs are'} mirrored"
        + (f", {partial} are still training" if partial else "")
    )
    for problem in problems:
        report(f"not mirrored: {problem}")
    if untried:
        report(f"not tried, as {_IN_A_ROW} failed in a row: {untried} more")
    for directory in directories:
        with contextlib.suppress(OSError):  # it was deleted just now
            if torn := journal_lines.torn(directory / journal.NAME):
                report(torn)
    return len(problems) + untried


def follow(outputs: Path, report: Callable[[str], None], *, exit_when_idle: bool) -> int:
    """Mirror runs as they train, at the lowest priority while one does; return the exit code.

    Args:
        outputs: the outputs root.
        report: takes a line.
        exit_when_idle: end when every run has ended and is mirrored.
    """
    uri = store.uri(outputs)
    detaching.leave_process_tree()
    with TrackerLock(outputs, uri) as lock:
        if not lock.acquire(1):  # whoever looks whether there is a tracker holds it for a moment
            report("another tracker is at work")
            return 0
        while True:
            code, seen = _follow(outputs, uri, report, exit_when_idle=exit_when_idle)
            # Whoever started a run just now has seen our lock and relies on us; let go of it, then look once more.
            lock.release()
            if sizes(runs.find(outputs)) == seen and not any(
                locks.is_locked(directory / journal.NAME) for directory in seen
            ):
                return code
            if not lock.acquire(1):
                return code


def _follow(
    outputs: Path, uri: str, report: Callable[[str], None], *, exit_when_idle: bool
) -> tuple[int, dict[Path, int]]:
    """Return the exit code, and the journals that were looked at with their sizes."""
    key, file = store.key(uri), store.sqlite_file(uri)
    mirror = None
    backlog = Backlog(outputs, key if file is None or file.exists() else None)
    trusted: set[Path] = set()
    reports = Reports(report)
    pause = _POLL_SECONDS
    last_progress = time.monotonic()
    while True:
        left = backlog.look()
        is_any_alive = any(locks.is_locked(directory / journal.NAME) for directory in left)
        detaching.set_priority(low=is_any_alive)
        problems: dict[Path, Exception] = {}
        if mirror is None and left:
            try:
                with detaching.at_leisure():
                    mirror = _mirror(outputs, uri)
                mirror.is_follower = True
                detaching.leave_session()
                detaching.set_priority(low=is_any_alive)  # which starts anew with a session
            except NnlabError as error:
                problems[outputs] = error
                for directory in left if isinstance(error, RefusedError) else ():
                    backlog.settle(directory)
                    _give_up(directory, key, failures.line(error))
        if mirror is not None and file is not None and not file.exists():
            raise NnlabError(f"{file} was deleted; run `nnlab sync` to make it again", exit_code=1)
        tried: set[Path] = set()
        in_a_row = 0
        pass_ends = time.monotonic() + _PASS_SECONDS
        for directory in left:
            if mirror is None or in_a_row == _IN_A_ROW or (tried and time.monotonic() > pass_ends):
                break
            tried.add(directory)
            try:
                if mirror.run(directory, verify=directory not in trusted):
                    backlog.settle(directory)
                    last_progress = time.monotonic()
                trusted.add(directory)
                reports.mended(directory)
                in_a_row = 0
            except Exception as error:
                problems[directory] = failures.refused(error, uri) or error
                if isinstance(problems[directory], NnlabError):  # it won't mend by itself
                    backlog.settle(directory)
                    _give_up(directory, key, failures.line(problems[directory]))
                else:
                    trusted.discard(directory)
                    in_a_row += 1
        backlog.end_turn(tried)
        reports.failed(problems)
        if is_any_alive:
            last_progress = time.monotonic()
        idle_for = time.monotonic() - last_progress
        if exit_when_idle and backlog.is_fresh and idle_for > (_GIVE_UP_SECONDS if backlog.left else _GRACE_SECONDS):
            if backlog.left:
                report(f"giving up on {len(backlog.left)} runs; they are kept in {outputs}, run `nnlab sync`")
            return (1 if backlog.left else 0), backlog.sizes
        pause = min(2 * pause, _LONGEST_PAUSE) if problems else _POLL_SECONDS
        if mirror is None or problems or len(tried) == len(left):
            time.sleep(pause)


def _mirror(outputs: Path, uri: str) -> Mirror:
    # They take 2 s, so only when there is something to mirror.
    from nnlab.tracking import answers, mirror

    if store.is_server(uri):
        answers.bound()
    try:
        return mirror.Mirror(outputs, uri)
    except Exception as error:
        raise failures.unopened(error, uri) from error


def _give_up(directory: Path, key: str, problem: str) -> None:
    with contextlib.suppress(OSError):  # it is for those who wait; they wait longer then
        cursor.give_up(directory, key, problem)
