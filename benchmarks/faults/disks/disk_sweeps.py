"""Disk sweeps: what a failing disk of some jobs, or of the sweep's own files, means for the others."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import left
from benchmarks.faults import system_calls
from benchmarks.faults.disks import small_disk
from benchmarks.faults.disks.disk_places import RUN
from benchmarks.faults.disks.disk_trial import Trials, said
from benchmarks.faults.warm import Ended
from benchmarks.left import Left

_SWEEP = ["-m", *RUN, "tracking=none", "seed=range(4)", "hydra.launcher.backend=sequential"]
_ROOMS = (4, 24, 100, 200, 300, 500, 800, 1100)


def _jobs_with_broken_disks(trials: Trials, *, error: str) -> Iterator[str]:
    """Three of four jobs can't write: the journal, a checkpoint, a picture."""
    directory = _new(trials, f"broken-{error}")
    broken = ("1/journal.jsonl", "2/checkpoints/.epoch-000002.tmp/2.bias.npy", "3/plots/accuracy.png")
    options = _refusing("write", error, [directory / path for path in broken])
    ended = _train(trials, directory, options)
    yield from said(ended, directory, None)
    for path in broken:
        if f"{directory / path}" not in ended.out:
            yield f"nobody says what has become of {path}"
    yield from left.differences(_expected(trials)["job 0"], left.read(directory / "0"))
    yield from _resumed(trials, directory)


def _own_file(trials: Trials, *, path: str, call: str, error: str) -> Iterator[str]:
    """A file of the sweep's own can't be written."""
    directory = _new(trials, f"{Path(path).name}-{error}")
    ended = _train(trials, directory, _refusing(call, error, [directory / path]))
    yield from said(ended, directory, os.path.normpath(directory / path))
    yield from _resumed(trials, directory)


def _small(trials: Trials, *, room: int) -> Iterator[str]:
    """The whole sweep is on a small disk."""
    directory = _new(trials, f"small-{room}")
    with small_disk.mounted(directory, room):
        ended = _train(trials, directory, ())
        if ended.code:
            yield from said(ended, directory, None)
            small_disk.change(directory, "size=64m")
            yield from _resumed(trials, directory)


def _new(trials: Trials, name: str) -> Path:
    return trials.warm.outputs / "sweeps" / name


def _refusing(call: str, error: str, paths: Sequence[Path]) -> tuple[str, ...]:
    chosen = [option for path in paths for option in ("-P", os.path.normpath(path))]
    return ("-f", *chosen, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1+")


def _train(trials: Trials, directory: Path, options: Sequence[str]) -> Ended:
    warm = trials.warm
    traced = system_calls.attached(warm.pid, warm.folder / "strace", *options) if options else contextlib.nullcontext()
    with traced:
        return warm.run(["train", *_SWEEP, f"hydra.sweep.dir={directory}"], seconds=120)


def _resumed(trials: Trials, directory: Path) -> Iterator[str]:
    """Go on with a sweep whose disk is well again, and yield how it differs from an undisturbed one."""
    ended = trials.warm.run(["resume", "--retry-failed", str(directory)], seconds=120)
    if ended.code == 2 and "nothing to go on with" in ended.err and not (directory / "sweep.json").exists():
        return
    if ended.code:
        yield f"resume ended with {ended.code}: {ended.err[-300:]}"
        return
    for name, expected in _expected(trials).items():
        found = left.read(directory / name.removeprefix("job ") if name != "sweep" else directory)
        yield from (f"{name}: {problem}" for problem in left.differences(expected, found))


_undisturbed: dict[Path, dict[str, Left]] = {}


def _expected(trials: Trials) -> dict[str, Left]:
    """Return what a sweep leaves on a disk that is well."""
    if trials.warm.folder not in _undisturbed:
        directory = _new(trials, "undisturbed")
        ended = _train(trials, directory, ())
        if ended.code:
            raise RuntimeError(ended.err)
        found = {f"job {number}": left.read(directory / str(number)) for number in range(4)}
        _undisturbed[trials.warm.folder] = {**found, "sweep": left.read(directory)}
    return _undisturbed[trials.warm.folder]


_Procedure = Callable[[Trials], Iterator[str]]

PROCEDURES: dict[str, tuple[_Procedure, bool]] = {
    **{
        f"three of a sweep's jobs: write {error}": (functools.partial(_jobs_with_broken_disks, error=error), False)
        for error in ("ENOSPC", "EIO", "EDQUOT")
    },
    **{
        f"a sweep's {path}: {call} {error}": (functools.partial(_own_file, path=path, call=call, error=error), False)
        for path, call, error in (
            (".sweep.json.tmp", "write", "ENOSPC"),
            (".sweep.json.tmp", "fsync", "EIO"),
            (".sweep.json.tmp", "openat", "EROFS"),
            ("journal.jsonl", "write", "ENOSPC"),
            ("journal.jsonl", "openat", "EMFILE"),
            ("compare.csv", "write", "ENOSPC"),
            ("compare.md", "openat", "EACCES"),
            ("plots/curves.png", "write", "EIO"),
            ("2/.hydra/config.yaml", "write", "ENOSPC"),
        )
    },
    **{f"a sweep on a disk of {room} KiB": (functools.partial(_small, room=room), True) for room in _ROOMS},
}
"""What is tried -> how, and whether it takes the right to mount."""
