"""Acknowledged: what a trainer has printed or journalled, when it and its tracker are killed at once."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults import mirrored, roots
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.killed.terminals import Watched
from benchmarks.sweeps import commands, stored

_MOONS = ("dataset=moons", "architecture.hidden_sizes=[6]", "training.batch_size=null")
_RUNS = {
    "run": (*_MOONS, "training.epochs=900"),
    "long run": (*_MOONS, "training.epochs=6000", "training.eval_every=3"),
    "run with updates": (*_MOONS, "training.epochs=400", "training.log_every_updates=1", "checkpoint.every=20"),
    "sweep": (*_MOONS, "-m", "seed=range(4)", "activation=tanh,relu", "training.epochs=500", "hydra.launcher.n_jobs=2"),
}
_EPOCH = re.compile(r"epoch +(\d+)/\d+")
_BAR = re.compile(r"\b(\d+)/\d+\b")
_DONE = re.compile(r"(\d+) of \d+ jobs done")


class Trial(NamedTuple):
    """What is run and where it prints; when it is killed, seconds after something; when a first sync is, if at all."""

    run: str
    is_terminal: bool
    after: str
    seconds: float
    sync_seconds: float | None


_MOMENTS: dict[str, Callable[[Path], object]] = {
    "its first epoch": lambda outputs: any(map(_has_metrics, mirrored.journals(outputs))),
    "the schema is begun": lambda outputs: any(outputs.glob(".mlflow.db.new*")),
    "the mirroring is begun": lambda outputs: any(map(_has_cursor, mirrored.journals(outputs))),
    "the first artifact is sent": lambda outputs: any((outputs / "artifacts").glob("*/*/artifacts/*")),
}
_SECONDS = dict(zip(_MOMENTS, (4.0, 2.0, 0.6, 0.4), strict=True))
_SYNC_SECONDS = (1.5, 4.5)


def inject(effort: Effort) -> Found:
    """Kill both, and look what is in MLflow after ``nnlab sync``."""
    counts = Counter[str]()

    def trial(case: Trial) -> Iterator[str]:
        with roots.root(is_tracked=case.after != "the schema is begun") as outputs:
            yield from _kill(case, outputs, counts)

    jobs = effort.jobs + 1 if effort.jobs > 1 else 1  # they wait now and then
    found = each(trial, _cases(effort), replace(effort, jobs=jobs))
    found.notes += [
        f"{counts['printed']} kills came after an epoch was printed, {counts['training']} while it trained, "
        f"{counts['ended']} when all was trained and the tracker at work; "
        + ", ".join(f"{counts[after]} after {after}" for after in _MOMENTS)
        + ".",
        f"{counts['points']:,} points were in journals at the moment of death, at least {counts['before']:,} of them "
        f"in MLflow; after `nnlab sync` all {counts['whole']:,} of the runs that are mirrored whole were there once, "
        f"and of the {counts['thinned']:,} of longer runs those that are promised, with the others in `history.csv`.",
        f"A second `nnlab sync` changed no row of any table. {counts['syncs']} times one before them was killed, too.",
    ]
    return found


def _cases(effort: Effort) -> list[Trial]:
    draw, runs, moments = effort.draw(), list(_RUNS), list(_MOMENTS)
    return [_case(draw, runs[place % len(runs)], moments, place) for place in range(effort.times or 50)]


def _case(draw: random.Random, run: str, moments: list[str], place: int) -> Trial:
    after = moments[0] if place // len(_RUNS) % 2 == 0 else draw.choice(moments[1:])
    sync_seconds = round(draw.uniform(*_SYNC_SECONDS), 3) if place % 3 == 1 else None
    return Trial(run, draw.random() < 0.5, after, round(draw.uniform(0, _SECONDS[after]), 3), sync_seconds)


def _kill(case: Trial, outputs: Path, counts: Counter[str]) -> Iterator[str]:
    command = Watched(outputs, "train", *_RUNS[case.run], is_terminal=case.is_terminal)
    try:
        command.wait_for(lambda: _MOMENTS[case.after](outputs))
        time.sleep(case.seconds)
    finally:
        command.kill()
    counts[case.after] += 1
    journalled = {directory: mirrored.lines(directory) for directory in mirrored.journals(outputs)}
    points = {each: sum(len(event.get("metrics", ())) for event in events) for each, events in journalled.items()}
    is_open = any(not events or events[-1]["type"] != "status" for events in journalled.values())
    counts["training" if is_open else "ended"] += 1
    counts["points"] += sum(points.values())
    for directory, events in journalled.items():
        if events:
            counts["thinned" if events[0].get("epochs", 0) > 1000 else "whole"] += points[directory]
    is_half_written = (outputs / "mlflow.db-journal").exists()  # it takes a writer, `nnlab sync`, to read it then
    if (outputs / "mlflow.db").exists() and not is_half_written:
        counts["before"] += sum(rows.total() for rows in stored.metrics(outputs).values())
    yield from _printed(case, command.text, journalled, counts)
    if case.sync_seconds is not None:
        first = Watched(outputs, "sync")
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.process.wait(case.sync_seconds)
        counts["syncs"] += first.process.poll() is None
        first.kill()
    commands.run(outputs, "sync")
    store = outputs / "mlflow.db"
    if not any(journalled.values()):
        return
    if {each: mirrored.lines(each) for each in journalled} != journalled:
        yield "a journal has changed since"
    yield from mirrored.problems(store, list(journalled))
    before = mirrored.dump(store)
    commands.run(outputs, "sync")
    changed = [table for table, rows in mirrored.dump(store).items() if rows != before.get(table)]
    if changed:
        yield f"a second sync changed {', '.join(changed)}"


def _printed(
    case: Trial, text: str, journalled: dict[Path, list[dict[str, object]]], counts: Counter[str]
) -> Iterator[str]:
    """Yield what was printed and is not journalled."""
    if case.run == "sweep":
        done = max(map(int, _DONE.findall(text)), default=0)
        finished = sum(events[-1].get("status") == "FINISHED" for events in journalled.values() if events)
        counts["printed"] += done > 0
        if done > finished:
            yield f"{done} jobs were said to be done, {finished} are"
        return
    epochs = [*map(int, (_BAR if case.is_terminal else _EPOCH).findall(text.partition("run  ")[2].partition("\n")[2]))]
    counts["printed"] += bool(epochs)
    steps = {event["step"] for events in journalled.values() for event in events if event["type"] == "metrics"}
    if missing := {*range(max(epochs, default=-1) + 1)} - steps:
        yield f"epoch {max(epochs)} was printed, and {len(missing)} epochs up to there are not journalled"


def _has_metrics(directory: Path) -> bool:
    return b'"metrics"' in (directory / mirrored.JOURNAL).read_bytes()


def _has_cursor(directory: Path) -> bool:
    return any(directory.glob(".mlflow-*.json"))


FAULT = Fault(
    "Points that a trainer has acknowledged, then SIGKILL of trainer and tracker together",
    "0 missing in MLflow after `nnlab sync`, none twice; a second sync changes nothing",
    inject,
    times=50,
    short=1,
)
