"""Disk commands: outputs that can't be written, a standard output that is full or closed, a full store."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import left
from benchmarks.faults import system_calls
from benchmarks.faults.disks import small_disk
from benchmarks.faults.disks.disk_places import RUN
from benchmarks.faults.disks.disk_trial import Trials, said
from benchmarks.faults.warm import Ended


def _full_stdout(trials: Trials) -> Iterator[str]:
    """All that is printed is lost: the run is not, and the exit code says so."""
    ended = _cold(trials, "stdout-full", "> /dev/full")
    if ended.code != 1 or "standard output: No space left" not in ended.err or len(ended.err.splitlines()) != 1:
        yield f"exit code {ended.code}: {ended.err[-300:]!r}"
    yield from _as_undisturbed(trials, "stdout-full")


def _closed_stdout(trials: Trials) -> Iterator[str]:
    """Nothing is to be printed: the journal must not get what would have been, nor its file's number."""
    for place, redirection in enumerate((">&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -n 1")):
        ended = _cold(trials, f"stdout-closed-{place}", redirection)
        if ended.code or ended.err:
            yield f"{redirection}: exit code {ended.code}: {ended.err[-300:]!r}"
        yield from _as_undisturbed(trials, f"stdout-closed-{place}")


def _no_root(trials: Trials) -> Iterator[str]:
    """The outputs root can't be made."""
    file = trials.warm.folder / "file"
    file.write_text("")
    for root in ("/proc/nnlab/outputs", f"{file}/outputs", str(file)):
        for command in (["train", *RUN], ["train", "-m", *RUN, "seed=0,1"], ["sync"]):
            ended = _with_root(trials, root, command)
            if (
                ended.code == 0
                or not any(f"nnlab: {each}" in ended.err for each in (root, *Path(root).parents))
                or len(ended.err.splitlines()) != 1
            ):
                yield f"{root}: {command[0]} ended with {ended.code}: {ended.err[-300:]!r}"


def _read_only_root(trials: Trials) -> Iterator[str]:
    """What reads goes on, what writes is refused in a line."""
    outputs = trials.warm.folder / "read-only"
    with small_disk.mounted(outputs, 8192):
        run = outputs / "runs" / "a"
        shutil.copytree(trials.expected.directory, run)
        killed = outputs / "runs" / "b"
        shutil.copytree(trials.expected.directory, killed)
        journal = killed / left.JOURNAL
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
        small_disk.change(outputs, "ro")
        for command in (["compare", str(run)], ["evaluate", str(run)]):
            ended = _with_root(trials, str(outputs), command)
            if ended.code or ended.err:
                yield f"{command[0]} ended with {ended.code}: {ended.err[-300:]!r}"
        for command in (["train", *RUN], ["train", "-m", *RUN, "seed=0,1"], ["sync"], ["resume", str(killed)]):
            ended = _with_root(trials, str(outputs), command)
            if "Read-only file system" not in ended.err:
                yield f"{command[0]}: no reason: {ended.err[-300:]!r}"
            yield from (f"{command[0]}: {problem}" for problem in said(ended, outputs, None))


def _compare_into(trials: Trials) -> Iterator[str]:
    """The table's file can't be written."""
    run = str(trials.expected.directory)
    ended = trials.warm.run(["compare", run, "--json", "/dev/full"], seconds=60)
    yield from said(ended, Path("/dev/full"), "/dev/full: No space left on device")
    for command in (["reproduce", run, "--json", "/dev/full"],):
        ended = trials.warm.run(command, seconds=60)
        yield from said(ended, Path("/dev/full"), "/dev/full: No space left on device")


def _no_index(trials: Trials) -> Iterator[str]:
    """The index of runs is a cache: without it the answer is the same."""
    warm = trials.warm
    cache, command = warm.outputs / "index.db", ["compare", str(trials.expected.directory), "--format", "json"]
    expected = warm.run(command, seconds=60)
    cache.unlink(missing_ok=True)
    for call, error in (("openat", "EROFS"), ("openat", "EACCES"), ("pwrite64", "ENOSPC"), ("fdatasync", "EIO")):
        options = ("-f", "-P", str(cache), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1+")
        with system_calls.attached(warm.pid, warm.folder / "strace", *options):
            found = warm.run(command, seconds=60)
        if (found.code, found.out, found.err) != (expected.code, expected.out, expected.err):
            yield f"{call} {error}: exit code {found.code}: {found.err[-300:]!r}"
        cache.unlink(missing_ok=True)


def _full_store(trials: Trials) -> Iterator[str]:
    """The store's disk is full: what is missing is said, and there when the disk is well again."""
    outputs = trials.warm.folder / "full-store"
    with small_disk.mounted(outputs, 16_384):
        shutil.copytree(trials.expected.directory, outputs / "runs" / "a")
        shutil.copy(trials.warm.outputs / "mlflow.db", outputs / "mlflow.db")
        for cursor in (outputs / "runs" / "a").glob(".mlflow-*"):
            cursor.unlink()
        for room in (0, 40, 120, 240):
            filler = small_disk.fill(outputs, room)
            ended = _with_root(trials, str(outputs), ["sync"])
            filler.unlink()
            if ended.code == 0 or "Traceback" in ended.out + ended.err or str(outputs) not in ended.out + ended.err:
                yield f"{room} KiB: exit code {ended.code}: {ended.out[-200:]!r} {ended.err[-300:]!r}"
        ended = _with_root(trials, str(outputs), ["sync"])
        if ended.code:
            yield f"then: exit code {ended.code}: {ended.out[-200:]!r} {ended.err[-300:]!r}"
        run = left.read(outputs / "runs" / "a")
        rows = left.rows(outputs, run.run_id)
        if rows.total() != sum(len(values) for values in run.numbers.values()):
            yield f"MLflow has {rows.total()} metrics"
        (artifacts,) = outputs.glob("artifacts/*/*/artifacts")
        for name in (name for name in run.files if not name.endswith((".log", ".jsonl"))):
            if (artifacts / name).read_bytes() != (outputs / "runs" / "a" / name).read_bytes():
                yield f"{name} in MLflow is not the run's"


def _few_files(trials: Trials) -> Iterator[str]:
    """A stack has more runs than the process may have open files."""
    directory = trials.warm.outputs / "sweeps" / "few-files"
    sweep = ["train", "-m", *RUN, "seed=range(40)", "hydra.launcher.backend=sequential"]
    ended = _shell(trials, "ulimit -n 48; ", [*sweep, f"hydra.sweep.dir={directory}"], "")
    if ended.code:
        yield from said(ended, directory, None)
        ended = trials.warm.run(["resume", "--retry-failed", str(directory)], seconds=120)
    found = [left.read(directory / str(number)) for number in range(40)]
    if ended.code or any(each.status != "FINISHED" for each in found):
        yield f"exit code {ended.code}: {ended.err[-300:]!r}"
    if left.differences(trials.expected.left, found[0]):
        yield "the run of seed 0 is another"


def _as_undisturbed(trials: Trials, name: str) -> Iterator[str]:
    yield from left.differences(trials.expected.left, left.read(trials.warm.outputs / "runs" / name))


def _cold(trials: Trials, name: str, redirection: str) -> Ended:
    directory = trials.warm.outputs / "runs" / name
    return _shell(trials, "", ["train", *RUN, f"hydra.run.dir={directory}"], redirection)


def _shell(trials: Trials, before: str, command: list[str], redirection: str) -> Ended:
    """Give a command through a shell; a pipe's exit code is nnlab's."""
    text = f'{before}"$@" {redirection}; exit ${{PIPESTATUS[0]}}'
    shell = ["bash", "-c", text, "bash", sys.executable, "-m", "nnlab", *command]
    done = subprocess.run(shell, env=trials.warm.environment, cwd=trials.warm.work, capture_output=True, text=True)
    return Ended(done.returncode, done.stdout, done.stderr, 0.0, 0)


def _with_root(trials: Trials, root: str, command: list[str]) -> Ended:
    """Give a command with another outputs root."""
    environment = {**trials.warm.environment, "NNLAB_OUTPUTS": root}
    shell = [sys.executable, "-m", "nnlab", *command]
    done = subprocess.run(shell, env=environment, cwd=trials.warm.work, capture_output=True, text=True, timeout=120)
    return Ended(done.returncode, done.stdout, done.stderr, 0.0, 0)


PROCEDURES: dict[str, tuple[Callable[[Trials], Iterator[str]], bool]] = {
    "a full standard output": (_full_stdout, False),
    "closed standard streams": (_closed_stdout, False),
    "an outputs root that can't be made": (_no_root, False),
    "compare --json into a full disk": (_compare_into, False),
    "an index that can't be written": (_no_index, False),
    "fewer open files than runs": (_few_files, False),
    "a read-only outputs root": (_read_only_root, True),
    "a full disk under the store": (_full_store, True),
}
"""What is tried -> how, and whether it takes the right to mount."""
