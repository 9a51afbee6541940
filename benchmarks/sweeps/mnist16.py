"""16 runs of MNIST as one sweep, and the same 16 as lone runs one after another with all cores."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report import Goal, Section, number
from benchmarks.sweeps import commands, records
from benchmarks.sweeps.effort import Effort
from nnlab.data import registry

OVERRIDES = ("dataset=mnist", "architecture.hidden_sizes=[50,50]", "training.batch_size=32")


@dataclass(frozen=True)
class _Round:
    """Seconds: of the commands, and from the first recorded epoch to the last one."""

    commands: float
    training: float


def measure(effort: Effort) -> Section:
    """Time both, in rounds that begin with one and the other by turns."""
    runs, epochs = effort.mnist_runs, effort.mnist_epochs
    registry.fetch("mnist", commands.say)
    overrides = [*OVERRIDES, f"training.epochs={epochs}"]
    swept, lone = list[_Round](), list[_Round]()
    for place in range(effort.mnist_rounds):
        for which in ("swept", "lone") if place % 2 == 0 else ("lone", "swept"):
            if which == "swept":
                swept.append(_sweep(runs, overrides))
            else:
                lone.append(_lone(runs, overrides))
            seconds = (swept if which == "swept" else lone)[-1]
            commands.say(f"mnist16, {which}, round {place + 1}: {seconds}")
    section = Section(f"mnist16: {runs} runs of MNIST, 784-50-50-10, batches of 32, {epochs} epochs")
    section.say(
        f"`nnlab train -m {shlex.join([f'seed=range({runs})', *overrides])}`, and `nnlab train seed=0 ...` and so on,",
        f"{runs} commands one after another, each with as many BLAS threads as cores. 50,000 images train; val and",
        "test (10,000 each) are evaluated after every epoch; default tracking. *Commands*: wall clock from the start",
        "of the (first) process to the end of the (last) one, when all is in MLflow. *Training*: from the journals,",
        "from a run's epoch 0 to its last one, added up over the lone runs; in the sweep from the first epoch 0 to the",
        f"last epoch of all workers. A new outputs root each time; medians of {effort.mnist_rounds} rounds, and of the",
        "rounds' own ratios.",
    )
    rows = [
        _row(section, "commands", [each.commands for each in lone], [each.commands for each in swept], 2.0),
        _row(section, "training", [each.training for each in lone], [each.training for each in swept], None),
    ]
    section.table(["", "lone, seconds", "sweep, seconds", "throughput, sweep / lone", "rounds", "goal", "holds"], rows)
    return section


def _row(section: Section, what: str, lone: Sequence[float], swept: Sequence[float], bound: float | None) -> list[str]:
    ratios = [a / b for a, b in zip(lone, swept, strict=True)]
    ratio = statistics.median(ratios)
    goal = Goal(f"mnist16: throughput of the sweep / lone runs, {what}", ratio, bound) if bound else None
    cells = [number(statistics.median(lone)), number(statistics.median(swept)), f"{ratio:.2f}"]
    return [what, *cells, ", ".join(f"{each:.2f}" for each in ratios), *section.judge(goal)]


def _sweep(runs: int, overrides: Sequence[str]) -> _Round:
    with commands.outputs_root() as outputs:
        done = commands.run(outputs, "train", "-m", f"seed=range({runs})", *overrides)
        courses = [records.course(job) for job in records.jobs(records.sweep_of(outputs)).values()]
        _check(courses, runs)
        span = max(course.last for course in courses) - min(course.first for course in courses)
        return _Round(done.seconds, span)


def _lone(runs: int, overrides: Sequence[str]) -> _Round:
    with commands.outputs_root() as outputs:
        seconds = sum(commands.run(outputs, "train", f"seed={seed}", *overrides).seconds for seed in range(runs))
        courses = [records.course(path.parent) for path in outputs.glob("runs/*/journal.jsonl")]
        _check(courses, runs)
        return _Round(seconds, sum(course.last - course.first for course in courses))


def _check(courses: Sequence[records.Course], runs: int) -> None:
    finished = sum(course.status == "FINISHED" for course in courses)
    if finished != runs:
        raise RuntimeError(f"{finished} of {runs} runs are FINISHED")
