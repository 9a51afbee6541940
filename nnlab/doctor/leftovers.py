"""Leftovers: who holds locks, and what killed processes have left behind."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from nnlab import locks
from nnlab.doctor.records import glances
from nnlab.doctor.remark import Remark, count, some, trouble
from nnlab.portable import staging
from nnlab.tracking import follower, store

_OLD_SECONDS = 600.0  # what is younger may be somebody's work of this moment
_IN_ROOT = (".*.db.new", ".*.db.new-journal", "reproductions/*.tmp", "reproductions/.*.tmp")
_IN_RUN = (".*.tmp", "checkpoints/.*.tmp", "plots/.*.tmp")
_IN_SWEEP = (".progress-*.jsonl", ".*.tmp")


def trackers(outputs: Path) -> Iterator[Remark]:
    """Say who mirrors runs just now, into which store."""
    own = follower.lock_path(outputs, store.uri(outputs))
    for path in sorted(outputs.glob(".tracker-*.lock")):
        if not locks.is_locked(path):
            continue
        pid = locks.holder(path)
        who = f"a tracker is at work{f' (pid {pid})' if pid else ''}"
        yield Remark("tracker", who if path == own else f"{who}, for another store")
    alive = [each for each in glances(outputs) if each.is_alive and each.is_tracked and not each.is_sweep]
    if alive and not locks.is_locked(own):
        training = some([each.directory for each in alive])
        text = f"{count(len(alive), 'run')} training, and no tracker at work: {training}"
        yield trouble("tracker", text, "run: nnlab sync --follow --exit-when-idle")


def files(outputs: Path) -> Iterator[Remark]:
    """Check for files that only killed processes leave."""
    found = [path for pattern in _IN_ROOT for path in outputs.glob(pattern)]
    if not staging.is_at_work(outputs):
        found += outputs.glob(staging.NAME)
    for glance in glances(outputs):
        if not glance.is_alive:
            patterns = _IN_SWEEP if glance.is_sweep else _IN_RUN
            found += [path for pattern in patterns for path in glance.directory.glob(pattern)]
    now = time.time()
    old = [path for path in found if now - path.lstat().st_mtime > _OLD_SECONDS]
    if old:
        text = f"{count(len(old), 'leftover')} of killed processes: {some(old)}"
        yield trouble("leftovers", text, f"run: rm -r {some([shlex.quote(str(path)) for path in old], ' ')}")
