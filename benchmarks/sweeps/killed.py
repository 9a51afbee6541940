"""Sweeps of 40 runs, killed with SIGKILL at random moments and resumed: nothing may be lost, doubled or different.

`python benchmarks/sweeps/killed.py [--times 20] [--seed N]`. A sweep is begun in a session of its own; at a moment
drawn evenly between its first line and its end its whole process group is killed, in some rounds its tracker as well,
which has a group of its own. Then `nnlab resume`, which in some rounds is killed the same way once, and again to the
end. What is there then is compared with an undisturbed sweep, which has also said when the end is: in three rounds of
four when the sweep's own record is closed, else when all is mirrored, which is the tracker's business.
"""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.report import Goal, Section, number
from benchmarks.sweeps import commands, killing, processes, records, results
from benchmarks.sweeps.effort import FULL, Effort
from benchmarks.sweeps.killing import Kill
from benchmarks.sweeps.results import JOBS, Result
from nnlab.one_line import one_line


def main() -> None:
    """Kill some sweeps and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=FULL.kills, help="sweeps to be killed")
    parser.add_argument("--seed", type=int, help="of the moments; default: one that is drawn and printed")
    options = parser.parse_args()
    print(measure(replace(FULL, kills=options.times, seed=options.seed)))


def measure(effort: Effort) -> Section:
    """Kill sweeps, resume each, and compare."""
    seed = effort.seed if effort.seed is not None else random.SystemRandom().randrange(1_000_000)
    commands.say(f"killed: seed {seed}")
    draw = random.Random(seed)
    with commands.outputs_root() as outputs:
        clean, line_at = _undisturbed(outputs, effort)
        closed_at = records.course(records.sweep_of(outputs)).closed - clean.started
        expected = results.read(outputs)
        if problems := results.problems(outputs, expected):
            raise RuntimeError(f"the undisturbed sweep is not whole: {'; '.join(problems[:10])}\n{clean.output}")
    commands.say(f"killed: undisturbed: {clean.seconds:.1f} s, its first line after {line_at:.1f} s")
    rounds = []
    for place in range(effort.kills):
        end = (clean.seconds if place % 4 == 3 else closed_at) - line_at
        plan = _Plan(
            moment=draw.uniform(0, end),
            with_tracker=draw.random() < 0.5,
            again=draw.uniform(0, end / 2) if draw.random() < 0.5 else None,
            again_with_tracker=draw.random() < 0.5,
        )
        rounds.append(_round(place, plan, effort, expected))
    return _section(rounds, effort, seed, clean.seconds)


@dataclass(frozen=True)
class _Plan:
    """When a round's sweep is killed, seconds after its first line; and whether its resumption is killed too."""

    moment: float
    with_tracker: bool
    again: float | None
    again_with_tracker: bool


@dataclass
class _Round:
    kills: list[Kill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    resumptions: int = 0
    is_begun_anew: bool = False
    seconds: float = 0.0

    def keep(self, kill: Kill | None) -> None:
        self.kills += [kill] if kill else []


def _command(effort: Effort) -> list[str]:
    epochs = ",".join(map(str, effort.kill_epochs))
    return [
        *("train", "-m", "seed=range(5)", "architecture.hidden_sizes=[5,5],[8]", "activation=tanh,relu"),
        *(f"training.epochs={epochs}", "optimizer.momentum=0.9", "architecture.dropout=0.1", "schedule=cosine"),
        "checkpoint.every=20",
    ]


def _undisturbed(outputs: Path, effort: Effort) -> tuple[commands.Done, float]:
    """Let a sweep come to its end; return what it printed, and after how many seconds it printed its first line."""
    started, clock = time.time(), time.perf_counter()
    process = commands.start(outputs, *_command(effort))
    killing.wait_for_line(process, outputs)
    line_at = time.perf_counter() - clock
    code = process.wait()
    done = commands.Done(started, time.perf_counter() - clock, (outputs / commands.LOG).read_text())
    if code:
        raise RuntimeError(f"the undisturbed sweep ended with exit code {code}:\n{done.output}")
    commands.settle(outputs)
    return done, line_at


def _round(place: int, plan: _Plan, effort: Effort, expected: Result) -> _Round:
    """Kill a sweep, resume it to the end, and compare; what went wrong is kept, and said where."""
    found, clock = _Round(), time.perf_counter()
    outputs = Path(tempfile.mkdtemp(prefix="nnlab-killed-")).resolve()
    try:
        found.keep(killing.kill(outputs, _command(effort), plan.moment, with_tracker=plan.with_tracker))
        if plan.again is not None:
            command = _resumption(found, outputs, effort)
            found.keep(killing.kill(outputs, command, plan.again, with_tracker=plan.again_with_tracker))
        commands.run(outputs, *_resumption(found, outputs, effort))
        commands.settle(outputs)
        found.problems += results.problems(outputs, expected)
    except Exception as error:  # whatever it is, it is this round's result
        found.problems.append(f"{type(error).__name__}: {error}")
    finally:
        processes.kill(outputs)
    found.seconds = time.perf_counter() - clock
    commands.say(f"killed, round {place + 1} of {effort.kills}: {'; '.join(map(str, found.kills))}: {_verdict(found)}")
    if found.problems:
        commands.say(f"kept in {outputs}: {'; '.join(found.problems[:10])}")
    else:
        shutil.rmtree(outputs)
    return found


def _resumption(found: _Round, outputs: Path, effort: Effort) -> list[str]:
    """Return the command that goes on: ``resume``, or the sweep's own where it was killed before it had a plan."""
    planned = [path.parent for path in outputs.glob("sweeps/*/sweep.json")]
    if planned:
        found.resumptions += 1
        return ["resume", str(planned[0])]
    found.is_begun_anew = True
    return _command(effort)


def _verdict(found: _Round) -> str:
    return f"{len(found.problems)} problems" if found.problems else "identical"


def _section(rounds: list[_Round], effort: Effort, seed: int, seconds: float) -> Section:
    section = Section(f"killed: {len(rounds)} sweeps of {JOBS} runs, killed and resumed")
    kills = [kill for each in rounds for kill in each.kills]
    phases = Counter(kill.phase for kill in kills)
    good = sum(not each.problems for each in rounds)
    section.say(
        f"`nnlab {shlex.join(_command(effort))}`: {JOBS} runs in stacks of four kinds, which undisturbed takes",
        f"{number(seconds)} s. SIGKILL to its process group, workers included, at a moment drawn evenly between its",
        "first line and the closing of its record, in every fourth round the end of the mirroring; in about half of",
        "the rounds to its tracker too. Then `nnlab resume`, in about half of them killed once more, in the first",
        "half of that time, and again to the end. Then there must be: 40 FINISHED journals with every number exactly",
        "once and, but for times, equal to an undisturbed sweep's; the same checkpoints, every byte of them; the same",
        "files; the same rows in MLflow, none twice, in one finished parent with 40 finished children.",
        f"Seed of the moments: {seed}. {len(kills)} kills, of them {sum(kill.with_tracker for kill in kills)} with the",
        f"tracker; {', '.join(f'{count} in {phase}' for phase, count in phases.most_common())}.",
    )
    goal = Goal(f"killed: sweeps of {len(rounds)} that are identical in the end", good, len(rounds), "")
    text, verdict = section.judge(goal)
    section.say(f"Identical: {good}; goal: {text}; holds: {verdict}.")
    rows = []
    for place, each in enumerate(rounds, 1):
        first, second = [*map(str, each.kills), "-", "-"][:2]
        again = "the command again, as there was no plan yet" if each.is_begun_anew else ""
        resumed = ", ".join(filter(None, [again, f"{each.resumptions} x resume" if each.resumptions else ""]))
        rows.append([str(place), first, second, resumed, number(each.seconds), _verdict(each)])
    section.table(["", "killed", "resumption killed", "gone on with", "seconds", "in the end"], rows)
    for place, each in enumerate(rounds, 1):
        for problem in each.problems[:10]:
            section.say(f"- round {place}: {one_line(problem)[:500]}")
    return section


if __name__ == "__main__":
    main()
