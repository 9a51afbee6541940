"""Hostile files: configs, checkpoints, data and records that somebody made to do harm, through every door there is."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Queue

from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.hostile import hostile_checkpoints, hostile_configs, hostile_data, hostile_records
from benchmarks.faults.hostile.hostile_case import Door, Hostile, sync
from benchmarks.faults.hostile.scene import SECRET, Scene
from benchmarks.faults.warm import Ended, Warm
from benchmarks.sweeps import processes

SECONDS = 20.0  # that a command may take, on a busy machine; most take a tenth of a second
BYTES = 1 << 30  # of memory that a command may take more than one that does nothing
_LONGEST = 1500  # characters of a message
_ESCAPE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
_MODULES = (hostile_configs, hostile_checkpoints, hostile_data, hostile_records)


def cases() -> list[Hostile]:
    """Return all of them."""
    return [case for module in _MODULES for case in module.cases()]


class Place:
    """Where hostile files are tried: a run made well, a store, a user's secret.

    Args:
        stack: cleans up.
        stored: how many cases are going to be brought into the store.
    """

    def __init__(self, stack: ExitStack, stored: int) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nnlab-hostile-"))).resolve()
        imported = ["nnlab.tracking.sync"] if stored > 3 else []  # MLflow takes long to be imported
        self.warm = stack.enter_context(Warm(folder, {"SECRET": SECRET}, imported))
        good = folder / "good"
        made = self.warm.run(["train", f"hydra.run.dir={good}", *_RUN], 60)
        if made.code:
            raise RuntimeError(f"the run that is to be tampered with was not made: {made.err}")
        self.scene = Scene(folder, good)
        processes.kill(self.warm.outputs, "tracker")
        shutil.rmtree(self.warm.outputs)
        self.scene.set()
        if stored:
            self.warm.run(["sync"], 60)  # which makes the store
        self.idle = self.warm.run(["data", "list"]).memory

    def tried(self, case: Hostile, door: Door) -> tuple[Ended, list[str]]:
        """Try a case at a door, and return how the command ended and what is wrong with that, a line each."""
        scene = self.scene
        scene.set()
        case.make(scene)
        before = {path: _state(path) for path in _users(scene)}
        ended = self.warm.run(door(scene), SECONDS)
        problems = [f"{door.__name__}: {problem}" for problem in self._problems(case, ended, before)]
        return ended, problems

    def _problems(self, case: Hostile, ended: Ended, before: dict[Path, bytes]) -> Iterator[str]:
        scene = self.scene
        yield from _wrong_end(case, ended)
        if scene.canary.exists():
            yield "it RAN: the canary is there"
        if {path: _state(path) for path in _users(scene)} != before:
            yield "the user's own files are not as they were"
        if SECRET in ended.out + ended.err or any(
            _holds_secret(path) for path in (scene.folder / "outputs").rglob("*")
        ):
            yield "the SECRET has got out"
        if ended.memory - self.idle > BYTES:
            yield f"it took {(ended.memory - self.idle) >> 20} MiB of memory"


def _wrong_end(case: Hostile, ended: Ended) -> Iterator[str]:
    lines = ended.err.splitlines()
    if ended.code is None:
        yield f"it hangs: no end after {SECONDS:.0f} s"
    elif ended.code not in (1, 2) and not (ended.code == 0 and not case.is_refused):
        yield f"exit code {ended.code}: {ended.out[-200:]!r} {ended.err[-300:]!r}"
    elif "Traceback" in ended.err + ended.out:
        yield f"a traceback: {ended.err[-300:]!r}"
    elif len(lines) > 1 or any(len(line) > _LONGEST or not line.startswith("nnlab: ") for line in lines):
        yield f"not one line: {ended.err[:400]!r}"
    if _ESCAPE.search(ended.out + ended.err):
        yield f"it sends escape sequences: {_ESCAPE.search(ended.out + ended.err)!r}"


def _users(scene: Scene) -> list[Path]:
    return sorted([*scene.secret.parent.rglob("*"), *(scene.folder / "home").rglob("*")])


def _state(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _holds_secret(path: Path) -> bool:
    """Say whether somebody has copied the secret there; a link to it is none."""
    is_small = not path.is_symlink() and path.is_file() and path.stat().st_size < 100_000_000
    return is_small and path.name != "secret.txt" and SECRET.encode() in path.read_bytes()


_RUN = ("training.epochs=3", "checkpoint.every=1", "checkpoint.keep=all", "tracking.wait_seconds=0")


def _inject(effort: Effort) -> Found:
    commands = [0]
    largest, slowest = [0], [0.0]
    chosen = effort.chosen(cases())
    stored = sum(sync in case.doors for case in chosen)
    with ExitStack() as stack:
        idle: Queue[Place] = Queue()
        for _ in range(effort.jobs):
            idle.put(Place(stack, stored))

        def trial(case: Hostile) -> list[str]:
            place = idle.get()
            try:
                problems = []
                for door in case.doors:
                    ended, found = place.tried(case, door)
                    problems += found
                    commands[0] += 1
                    largest[0] = max(largest[0], ended.memory - place.idle)
                    slowest[0] = max(slowest[0], ended.seconds)
                return problems
            finally:
                idle.put(place)

        found = each(trial, chosen, effort)
    found.notes += [
        f"{commands[0]} commands were given {found.tried} files; the slowest took {slowest[0]:.1f} s, the largest "
        f"{largest[0] >> 20} MiB of memory more than one that does nothing."
    ]
    return found


FAULT = Fault(
    "hostile files: saved configs, experiments, checkpoints, data files, journals, plans of sweeps, caches (pickles, "
    "huge claims, zip bombs, `..`, links, pipes, devices, YAML tags and aliases, `_target_`s, resolvers, escapes)",
    "refused in one line, or done without harm: no code run, no secret copied, none of the user's files changed, no "
    "escape sequence printed, less than 1 GiB of memory and 20 s",
    _inject,
    times=None,
    short=10,
)
