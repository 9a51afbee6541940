"""Killed checkpoint: SIGKILL before each system call that a trainer makes while it writes and removes checkpoints."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults import system_calls
from benchmarks.faults.checkpoints import durability, whole_checkpoints
from benchmarks.faults.checkpoints.checkpoint_scenes import BEGINS, EPOCHS, FILE, NEW, OLD, SCENES
from benchmarks.faults.checkpoints.checkpoint_stage import Stage, checkpoint_paths
from benchmarks.faults.fault import Effort, Fault, Found, each
from nnlab import checkpoint, journal, network, resuming

_COMMAND = "nnlab train"
_COMMANDS_KILLED = 24
_TRACED = "trace=openat,write,fsync,ftruncate,rename,mkdir,unlink,rmdir"  # of a command, for its order
_EVALUATED_EVERY, _RESUMED_EVERY = 4, 12  # of that many trials, one by `nnlab evaluate`, `nnlab resume`
_KILLED = (-9, 137)
_LOCK = "futex"  # threads that wait for each other: how often is left to chance, and the disk knows nothing of it


class Place(NamedTuple):
    """A system call: what is going on, its name, and its number among those of that name."""

    scene: str
    call: str
    number: int


def inject(effort: Effort) -> Found:
    """Kill before each call of each scene, and before some of whole commands."""
    with Stage(effort.jobs) as stage:
        trials = _Trials(stage)
        if effort.times is not None:  # few are drawn, of which some are then of each scene
            places = [place for name in SCENES for place in trials.places(name)]
            return each(trials.kill, effort.chosen(places), effort)
        orders = each(trials.undisturbed, [*SCENES, _COMMAND], effort)
        places = [place for name in SCENES for place in trials.places(name)]
        of_command = trials.places(_COMMAND)
        commands = effort.draw().sample(of_command, min(_COMMANDS_KILLED, len(of_command)))
        found = orders + each(trials.kill, [*places, *commands], effort)
    calls = ", ".join(f"{count} {name}" for name, count in Counter(place.call for place in places).most_common(8))
    counts = trials.counts
    found.notes += [
        f"There are {len(places):,} system calls in {len(SCENES)} scenes ({', '.join(SCENES)}): {calls} and others. "
        f"Of the {len(of_command)} that `{_COMMAND}` makes there {len(commands)} were drawn.",
        f"{counts['none']:,} kills came before what was being written was there, {counts['some']} when some of several "
        f"checkpoints were, {counts['all']} when all were, and nothing was left but to tidy up.",
        f"After each of them what was there was loaded; after {counts['evaluated']} `nnlab evaluate` ran, after "
        f"{counts['resumed']} `nnlab resume`, which came to the bytes of a run that was never killed.",
        f"In {orders.tried} logs of undisturbed runs the order of syncs and renames left no moment for a power cut.",
    ]
    return found


class _Trials:
    """The trials, and what they have seen.

    Args:
        stage: where they take place.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.counts = Counter[str]()
        self._lock = threading.Lock()

    def places(self, scene: str) -> list[Place]:
        """Return the calls of an undisturbed scene."""
        log = self.stage.folder / f"{scene}.log"
        if not log.exists():
            list(self.undisturbed(scene))
        begins = "" if scene == _COMMAND else BEGINS
        found = (Place(scene, *place) for place in system_calls.places(system_calls.read(log), begins))
        return [place for place in found if place.call != _LOCK]

    def undisturbed(self, scene: str) -> Iterator[str]:
        """Leave a scene alone, keep its log, and yield what a power cut could lose of it."""
        log = self.stage.folder / f"{scene}.log"
        if scene == _COMMAND:
            yield from self._undisturbed_command(log)
            return
        with self.stage.writer() as writer, self.stage.directory(scene) as directory:
            with system_calls.attached(writer.begin(scene, directory), log, "-s", "300"):
                if code := writer.act():
                    yield f"it ended with {code}"
            yield from durability.problems(system_calls.read(log), directory.parent)
            yield from self._at_the_end(scene, directory)

    def kill(self, place: Place) -> Iterator[str]:
        """Kill at a place, and yield what is wrong then."""
        if place.scene == _COMMAND:
            yield from self._kill_command(place)
            return
        with self.stage.writer() as writer, self.stage.directory(place.scene) as directory:
            options = system_calls.kill_at(place.call, place.number)
            with system_calls.attached(
                writer.begin(place.scene, directory), directory.parent / "log", "-e", "trace=all", "-e", options
            ):
                if (code := writer.act()) not in _KILLED:
                    yield f"it ended with {code}, it was not killed"
            yield from self._left(place.scene, directory)
            if self._is_turn("killed", _RESUMED_EVERY):
                yield from self._resume(directory)
            else:
                writer.begin(place.scene, directory)
                if code := writer.act():
                    yield f"the same once more ended with {code}"
                yield from self._at_the_end(place.scene, directory)

    def _left(self, name: str, directory: Path) -> Iterator[str]:
        """Yield what is wrong with what a kill has left."""
        scene, there = SCENES[name], whole_checkpoints.epochs(directory)
        if scene.damaged and scene.damaged in there:
            before = self.stage.before(name) / "checkpoints" / there[scene.damaged].name
            if whole_checkpoints.differences(there[scene.damaged], before) is None:
                del there[scene.damaged]
        for epoch, folder in there.items():
            if wrong := whole_checkpoints.problem(folder, whole_checkpoints.epochs(self.stage.run)[epoch]):
                yield wrong
        if lost := scene.stay - there.keys():
            yield f"the checkpoints of epochs {sorted(lost)} are lost"
        text = (directory / FILE).read_bytes() if (directory / FILE).exists() else None
        if text not in (OLD if scene.has_file else None, NEW):
            yield f"{FILE} is neither the old nor the new one"
        start = resuming.start(directory)
        if (int(start.name[6:]) if start else None) != max(there, default=None):
            yield f"it would be resumed from {start}"
        new = {*scene.after} - ({*scene.before} - {scene.damaged})
        self.counts["all" if new <= there.keys() else "some" if new & there.keys() else "none"] += 1
        if there and not scene.damaged:
            for which in ("last", "best"):
                checkpoint.read(checkpoint.find(directory, which))
                network.load(directory, which)
            if self._is_turn("loaded", _EVALUATED_EVERY):
                yield from self._command("evaluate", str(directory))
                self.counts["evaluated"] += 1

    def _at_the_end(self, name: str, directory: Path) -> Iterator[str]:
        """Yield what is wrong when all is done."""
        found = {path.name for path in (directory / "checkpoints").iterdir()}
        if found != {checkpoint.name(epoch) for epoch in SCENES[name].after}:
            yield f"in the end there are {sorted(found)}"
        yield from whole_checkpoints.problems(directory, self.stage.run)

    def _undisturbed_command(self, log: Path) -> Iterator[str]:
        with self.stage.writer(), self.stage.directory("first") as spare:
            outputs = spare.parent / "ordered"
            directory = spare.parent / "outputs" / "runs" / "one"
            codes = [
                self.stage.train(outputs / "runs" / "one", spare / "log", "-e", _TRACED),
                self.stage.train(directory, log, *_only(directory)),
            ]
            if any(codes):
                yield f"the commands ended with {codes}"
            yield from durability.problems(system_calls.read(spare / "log"), spare.parent)

    def _kill_command(self, place: Place) -> Iterator[str]:
        with self.stage.writer(), self.stage.directory("first") as spare:  # a whole command takes a writer's turn
            directory = spare.parent / "outputs" / "runs" / "one"
            options = system_calls.kill_at(place.call, place.number)
            if (code := self.stage.train(directory, spare / "log", *_only(directory), "-e", options)) not in _KILLED:
                yield f"it ended with {code}, it was not killed"
            yield from whole_checkpoints.problems(directory, self.stage.run)
            if not (directory / journal.NAME).exists():  # there is no run yet: the command is given again
                if code := self.stage.train(directory, spare / "again", "-e", "trace=none"):
                    yield f"the same once more ended with {code}"
                yield from whole_checkpoints.problems(directory, self.stage.run)
            else:
                yield from self._resume(directory)

    def _resume(self, directory: Path) -> Iterator[str]:
        yield from self._command("resume", str(directory))
        yield from self._command("evaluate", str(directory))
        self.counts["resumed"] += 1
        yield from whole_checkpoints.problems(directory, self.stage.run)
        if EPOCHS[-1] not in whole_checkpoints.epochs(directory):
            yield "it has no last checkpoint"
        found, should = (journal.read(each).steps for each in (directory, self.stage.run))
        if [*map(_timeless, sorted(found.items()))] != [*map(_timeless, sorted(should.items()))]:
            yield "its metrics are not those of a run that was never killed"

    def _command(self, *arguments: str) -> Iterator[str]:
        if problem := self.stage.command(*arguments):
            yield problem

    def _is_turn(self, what: str, every: int) -> bool:
        with self._lock:
            self.counts[what] += 1
            return self.counts[what] % every == 0


def _only(directory: Path) -> list[str]:
    return [option for path in checkpoint_paths(directory) for option in ("-P", str(path))]


def _timeless(step: tuple[int, dict[str, float]]) -> tuple[int, dict[str, float]]:
    return step[0], {name: value for name, value in step[1].items() if not name.startswith("time/")}


FAULT = Fault(
    "SIGKILL at every system call of a checkpoint write",
    "always the old or the new checkpoint, complete by its hashes, never none; `nnlab resume` and `evaluate` work",
    inject,
    times=None,
    short=6,
)
