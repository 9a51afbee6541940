"""Disk: full, read-only, out of order, wherever a run or a sweep writes; then `nnlab resume` and `nnlab sync`."""

from __future__ import annotations

import fcntl
import queue
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.disks import disk_commands, disk_sweeps, small_disk
from benchmarks.faults.disks.disk_places import RUN, Refusal, refusals
from benchmarks.faults.disks.disk_trial import Room, Trials, Undisturbed
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.warm import Warm
from benchmarks.sweeps import processes
from nnlab.tracking import follower, store

_ROOMS = (4, 8, 16, *range(24, 400, 16))
_SHORT = (
    Refusal("journal.jsonl", "write", "ENOSPC", 9),
    Refusal("checkpoints/.epoch-000002.tmp/0.weight.npy", "write", "EDQUOT"),
    Refusal("plots/loss.png", "write", "EIO"),
)


@dataclass(frozen=True)
class _Special:
    """A case with a procedure of its own."""

    name: str
    procedure: Callable[[Trials], Iterator[str]]

    def __repr__(self) -> str:
        return self.name


_Case = Refusal | Room | _Special


def inject(effort: Effort) -> Found:
    """Try every case, or the few of the short version."""
    if effort.times is not None:
        return _inject(lambda _: _SHORT[: effort.times], 1, is_short=True)
    specials = [*disk_sweeps.PROCEDURES.items(), *disk_commands.PROCEDURES.items()]
    mounting = [_Special(name, procedure) for name, (procedure, mounts) in specials if mounts]
    others = [_Special(name, procedure) for name, (procedure, mounts) in specials if not mounts]

    def cases(lines: int) -> Sequence[_Case]:
        small: list[_Case] = [*(Room(room) for room in _ROOMS), *mounting] if small_disk.is_allowed() else []
        return [*others, *small, *refusals(lines)]

    found = _inject(cases, effort.jobs)
    if not small_disk.is_allowed():
        found.notes.append("Mounting is not allowed here, so real small disks were left out.")
    return found


def _inject(cases: Callable[[int], Sequence[_Case]], jobs: int, *, is_short: bool = False) -> Found:
    with ExitStack() as stack:
        all_trials = [stack.enter_context(_trials()) for _ in range(jobs)]
        idle: queue.Queue[Trials] = queue.Queue()
        for trials in all_trials:
            idle.put(trials)

        def trial(case: _Case) -> list[str]:
            trials = idle.get()
            try:
                return list(case.procedure(trials) if isinstance(case, _Special) else trials.run(case))
            finally:
                idle.put(trials)

        lines = left.lines(all_trials[0].expected.directory)
        chosen = cases(sum(not str(line.get("path")).startswith("checkpoints/") for line in lines))
        found = each(trial, chosen, Effort(None, 0, jobs))
        for trials in all_trials if not is_short else ():
            found.losses += _unmirrored(trials)
        seen = sum((Counter(trials.seen) for trials in all_trials), Counter[str]())
        found.notes.append(f"{_kinds(chosen)}; then: {', '.join(f'{what} {n}' for what, n in seen.most_common())}.")
        runs = sum(len(trials.runs) for trials in all_trials)
        found.notes.append(f"{runs} runs were gone on with to the end and compared byte for byte, and in MLflow.")
    return found


def _kinds(cases: Sequence[_Case]) -> str:
    refused = Counter(case.error for case in cases if isinstance(case, Refusal))
    rooms = sum(isinstance(case, Room) for case in cases)
    parts = [f"{n} calls refused with {error}" for error, n in refused.most_common()]
    parts += [f"{rooms} real disks of 4 to 392 KiB"] if rooms else []
    return ", ".join([*parts, f"{len(cases) - rooms - refused.total()} other cases"])


@contextmanager
def _trials() -> Iterator[Trials]:
    """Give an outputs root whose tracker's place is taken, so that nothing is mirrored before all has been tried."""
    folder = Path(tempfile.mkdtemp(prefix="nnlab-disk-")).resolve()
    prepared = roots.make(is_tracked=True)
    prepared.rename(folder / "outputs")
    outputs = folder / "outputs"
    try:
        with (
            Warm(folder) as warm,
            follower.lock_path(outputs, store.sqlite_uri(outputs / "mlflow.db")).open("w") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            plain, keeping = (outputs / "runs" / name for name in ("undisturbed", "keeping"))
            for directory, more in ((plain, []), (keeping, ["checkpoint.keep=all"])):
                ended = warm.run(["train", *RUN, *more, f"hydra.run.dir={directory}"], seconds=60)
                if ended.code:
                    raise RuntimeError(ended.err)
            trials = Trials(warm, Undisturbed(left.read(plain), keeping))
            trials.runs["nothing"] = plain
            trials.let_go = lock.close
            yield trials
    finally:
        processes.kill(outputs)
        shutil.rmtree(folder, ignore_errors=True)


def _unmirrored(trials: Trials) -> Iterator[str]:
    """Bring all runs into MLflow, and yield where it has not what the undisturbed one has there."""
    trials.let_go()
    outputs = trials.warm.outputs
    synced = trials.warm.cold(["sync"], seconds=300)
    if synced.code:
        yield f"sync ended with {synced.code}: {synced.out[-300:]} {synced.err[-300:]}"
        return
    expected = left.rows(outputs, left.read(trials.runs["nothing"]).run_id)
    if not expected:
        yield "MLflow has nothing of the undisturbed run"
    for fault, directory in trials.runs.items():
        if left.rows(outputs, left.read(directory).run_id) != expected:
            yield f"{fault}: MLflow has not the metrics of the undisturbed run"


FAULT = Fault(
    "Disk full, over quota, read-only, forbidden, broken, too many open files: each file of a run or a sweep, and more",
    "a line with path and reason, exit code not 0, good checkpoints intact; resumed, all is as if nothing had been",
    inject,
    times=None,
    short=2,
)
