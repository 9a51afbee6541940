"""Sweeps of 100 and of 1,000 runs of moons: what a run of the harness costs, and how much memory it takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.machine import cores
from benchmarks.report import Goal, Section, number
from benchmarks.sweeps import commands, records, stored
from benchmarks.sweeps.effort import Effort
from benchmarks.sweeps.processes import Sampler

ROLES = ("main", "worker", "tracker")


@dataclass(frozen=True)
class _Sweep:
    """A sweep of so many runs; seconds, and bytes.

    Attributes:
        runs: how many.
        seconds: wall clock of the command.
        training: of all stacks, one after another.
        processor: role -> processor time.
        memory: role -> the most that a process had resident.
    """

    runs: int
    seconds: float
    training: float
    processor: dict[str, float]
    memory: dict[str, int]

    @property
    def harness(self) -> float:
        """Wall clock a run without training, seconds."""
        return (self.seconds - self.training / len(cores())) / self.runs


def measure(effort: Effort) -> Section:
    """Time sweeps of two sizes."""
    section = Section(f"moons1000: {' and '.join(f'{size:,}' for size, _ in effort.moons)} runs of moons")
    found = {size: [_sweep(size, effort.moons_epochs) for _ in range(rounds)] for size, rounds in effort.moons}
    section.say(
        f"`nnlab train -m 'seed=range(N)' dataset=moons training.epochs={effort.moons_epochs}`: 2-5-5-2, batches of",
        "32, in a new outputs root; wall clock from Enter to the end, when the store had all N finished children with",
        "plots and checkpoints, which was looked up each time. *Training* is what the journals say of it, with the",
        "evaluation of every epoch, each stack counted once. *Harness* is the wall clock less *training* / cores (as",
        "many stacks as cores are trained at once), divided by the runs: composing, processes, journals, checkpoints,",
        "pictures, the answer, waiting for MLflow. Milliseconds a run, medians of the rounds.",
    )
    rows = []
    for size, sweeps in found.items():
        middle = sorted(sweeps, key=lambda each: each.seconds)[len(sweeps) // 2]
        processor = ", ".join(f"{role} {number(1000 * middle.processor[role] / size)}" for role in ROLES)
        wall = statistics.median(each.seconds for each in sweeps)
        training = statistics.median(each.training for each in sweeps)
        cost = _harness(sweeps)
        goal = Goal(f"moons1000: harness a run, of {size:,}", 1000 * cost, 600, " ms", at_most=True)
        cells = [f"{wall:.1f} s", number(1000 * wall / size), number(1000 * training / size), number(1000 * cost)]
        rows.append([f"{size:,}", str(len(sweeps)), *cells, *section.judge(goal), processor])
    head = ["runs", "rounds", "wall clock", "wall clock a run", "training a run", "harness a run", "goal", "holds"]
    section.table([*head, "processor time a run"], rows)
    few, many = (found[size] for size, _ in effort.moons)
    goal = Goal(
        f"moons1000: harness a run, of {many[0].runs:,} / of {few[0].runs:,}",
        _harness(many) / _harness(few),
        1.1,
        at_most=True,
    )
    text, verdict = section.judge(goal)
    section.say(
        f"Flat: a run's harness costs {number(goal.value)} times as much in the large sweep as in the small one;",
        f"goal: {text}; holds: {verdict}.",
    )
    section.say("The most memory that one process had resident, MB (`VmHWM`, looked at twice a second):")
    rows = [
        [f"{size:,}", *(number(max(each.memory[role] for each in sweeps) / 1e6) for role in ROLES)]
        for size, sweeps in found.items()
    ]
    section.table(["runs", "main process", "a worker", "tracker"], rows)
    for role in ROLES:
        grown = max(each.memory[role] for each in many) / max(1, *(each.memory[role] for each in few))
        section.judge(Goal(f"moons1000: memory of the {role}, large sweep / small one", grown, 2, at_most=True))
    return section


def _harness(sweeps: list[_Sweep]) -> float:
    return statistics.median(each.harness for each in sweeps)


def _sweep(runs: int, epochs: int) -> _Sweep:
    arguments = ("train", "-m", f"seed=range({runs})", "dataset=moons", f"training.epochs={epochs}")
    with commands.outputs_root() as outputs:
        with Sampler(outputs) as sampler:
            done = commands.run(outputs, *arguments)
        commands.say(f"moons1000, {runs} runs: {done.seconds:.1f} s")
        if problems := stored.problems(stored.runs(outputs), runs):
            raise RuntimeError(f"the sweep is not whole: {'; '.join(problems[:10])}\n{done.output}")
        courses = [records.course(job) for job in records.jobs(records.sweep_of(outputs)).values()]
        return _Sweep(
            runs,
            done.seconds,
            records.stack_seconds(courses),
            {role: sampler.seconds(role) for role in ROLES},
            {role: sampler.peak(role) for role in ROLES},
        )
