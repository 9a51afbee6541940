"""SIGKILL of a trainer at random moments, then `nnlab resume`: the end is that of a run that never stopped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from joblib import Parallel, delayed

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.killed import sigkill, undisturbed
from benchmarks.faults.killed.killable import RUNS, SWEEPS
from benchmarks.faults.killed.undisturbed import Undisturbed
from benchmarks.left import Left
from benchmarks.sweeps import commands, processes, stored

_TRACKED_EVERY = 12  # trials; MLflow takes longer than all the rest
_AGAIN, _STARTING = 0.35, 0.12  # of the trials: killed a second time, while it is resumed; killed while it starts
_ATTEMPTS = 4  # to hit a run before its end


@dataclass(frozen=True)
class _Trial:
    number: int
    setting: str
    is_tracked: bool
    is_starting: bool
    moment: float  # as a share of the time that it takes to start, or to train and close its record
    again: float | None
    with_tracker: bool


def _inject(effort: Effort) -> Found:
    trials, seen = _trials(effort), list[str]()
    settings = {(trial.setting, trial.is_tracked): None for trial in trials}
    trained = Parallel(n_jobs=effort.jobs, backend="threading")(
        delayed(undisturbed.train)(setting, is_tracked=is_tracked) for setting, is_tracked in settings
    )
    references = dict(zip(settings, trained, strict=True))
    # More of them at a time than asked for: half of the time of a trial is waiting for its moment.
    effort = replace(effort, jobs=effort.jobs + 1)
    found = each(lambda trial: _try(trial, references[trial.setting, trial.is_tracked], seen), trials, effort)
    found.notes += _notes(Counter(seen), trials)
    return found


def _trials(effort: Effort) -> list[_Trial]:
    draw, trials = effort.draw(), []
    count = effort.times or 1
    is_short = count < len(RUNS)
    for number in range(count):
        kind = SWEEPS if not is_short and number % 5 == 4 else RUNS
        setting = next(iter(RUNS)) if is_short else draw.choice([*kind])
        trials.append(
            _Trial(
                number=number,
                setting=setting,
                is_tracked=not is_short and number % _TRACKED_EVERY == 0,
                is_starting=not is_short and draw.random() < _STARTING,
                moment=draw.random(),
                again=draw.random() if draw.random() < _AGAIN else None,
                with_tracker=draw.random() < 0.5,
            )
        )
    return trials


def _try(trial: _Trial, reference: Undisturbed, seen: list[str]) -> Iterator[str]:
    expected, outputs = reference.left, _killed(trial, reference, seen)
    problems: list[str] = []
    try:
        problems += _gone_on(trial, outputs, reference, seen)
        *before, last = left.begun(outputs)
        whole = {name: left.read(directory) for name, directory in left.records(last).items()}
        if trial.is_tracked:
            whole = {name: replace(each, rows=left.rows(outputs, each.run_id)) for name, each in whole.items()}
            behind = [left.read(directory) for each in before for directory in left.records(each).values()]
            seen += ["left behind" for run in behind if run.run_id is not None]
            problems += _in_mlflow(outputs, [*whole.values(), *behind])
        problems += [f"{name} is not there" for name in expected.keys() - whole.keys()]
        problems += [f"{name} is one too many" for name in whole.keys() - expected.keys()]
        for name in expected.keys() & whole.keys():
            problems += [f"{name}: {problem}" for problem in left.differences(expected[name], whole[name])]
        seen += ["compared" for _ in whole]
    except Exception as error:  # whatever it is, it is this trial's result
        problems.append(f"{type(error).__name__}: {error}")
    if problems:
        processes.kill(outputs)
        yield from (*problems, f"kept in {outputs}")
    else:
        roots.remove(outputs)


def _killed(trial: _Trial, reference: Undisturbed, seen: list[str]) -> Path:
    """Give the command until it has been killed before its end; return the outputs root."""
    seconds = trial.moment * (reference.starting_seconds if trial.is_starting else reference.working_seconds)
    for _ in range(_ATTEMPTS):
        outputs = roots.make(is_tracked=trial.is_tracked)
        process = commands.start(outputs, *reference.command)
        if not trial.is_starting:
            sigkill.wait_for_record(process, outputs)
        if sigkill.kill(process, outputs, seconds, with_tracker=trial.with_tracker):
            seen.append(f"kill {sigkill.phase(outputs)}")
            return outputs
        if process.returncode:
            raise RuntimeError(f"it failed by itself: {_last_line(outputs)}")
        roots.remove(outputs)
        seconds *= 0.7
    raise RuntimeError(f"it was faster than the kill, {_ATTEMPTS} times")


def _gone_on(trial: _Trial, outputs: Path, reference: Undisturbed, seen: list[str]) -> Iterator[str]:
    """Resume, killed once more in some trials, to the end; or give the command again where there is nothing yet."""
    directories = left.begun(outputs)
    resume = ["resume", str(directories[0])] if directories else reference.command
    if trial.again is not None and directories:
        size, draw = left.recorded(outputs), random.Random(trial.again)
        process = commands.start(outputs, *resume)
        if draw.random() > 2 * _STARTING:
            sigkill.wait_for_record(process, outputs, size + 1)
        if sigkill.kill(
            process, outputs, draw.uniform(0, 0.7 * reference.working_seconds), with_tracker=trial.with_tracker
        ):
            seen.append(f"second kill {sigkill.phase(outputs)}")
    code = commands.start(outputs, *resume).wait()
    if code and directories:
        said = (outputs / commands.LOG).read_text().splitlines()
        if code != 2 or len(said) != 1 or not said[0].startswith("nnlab: ") or str(directories[0]) not in said[0]:
            yield f"resume ended with exit code {code} and said: {' / '.join(said[-5:])}"
            return
        seen.append("begun again")
        code = commands.start(outputs, *reference.command).wait()
    elif not directories:
        seen.append("begun again, nothing there")
    if code:
        yield f"the last command ended with exit code {code}: {_last_line(outputs)}"
    if trial.is_tracked:
        commands.run(outputs, "sync")
        commands.settle(outputs)
        seen.append("mirrored")


def _in_mlflow(outputs: Path, found: list[Left]) -> Iterator[str]:
    """Say what is wrong with the statuses in MLflow; whoever died without a word is KILLED there."""
    runs = {run.tags.get("nnlab.run_id"): run for run in stored.runs(outputs)}
    for run in found:
        if run.run_id is not None and run.run_id not in runs:
            yield f"{run.run_id} is not in MLflow"
        elif run.run_id is not None:
            there, wanted = runs[run.run_id], run.status or "KILLED"
            if there.status != wanted or (wanted == "KILLED") != ("nnlab.reason" in there.tags):
                yield f"{run.run_id} is {run.status} and in MLflow {there.status}, {there.tags.get('nnlab.reason')}"


def _last_line(outputs: Path) -> str:
    return ((outputs / commands.LOG).read_text().splitlines() or ["nothing was said"])[-1]


def _notes(seen: Counter[str], trials: list[_Trial]) -> list[str]:
    def counted(prefix: str) -> str:
        kinds = {key.removeprefix(prefix): n for key, n in sorted(seen.items()) if key.startswith(prefix)}
        return f"{sum(kinds.values())}: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}" if kinds else "none"

    sweeps = sum(trial.setting in SWEEPS for trial in trials)
    notes = [
        f"{len(trials) - sweeps} lone runs and {sweeps} sweeps of {len({trial.setting for trial in trials})} settings.",
        f"First kills, {counted('kill ')}.",
        f"Second kills, of the resumption, {counted('second kill ')}.",
        f"{seen['compared']} records compared: every file of the checkpoints (weights, optimiser, RNG), every number.",
    ]
    anew = seen["begun again"] + seen["begun again, nothing there"]
    if anew:
        notes.append(
            f"{anew} were killed before there was anything to go on with, and the command was given again; in "
            f"{seen['begun again']} of them `resume` said so in one line."
        )
    if seen["mirrored"]:
        notes.append(
            f"In {seen['mirrored']} trials MLflow's rows and statuses were compared too; "
            f"{seen['left behind']} records that were left behind for good are KILLED there, with the reason."
        )
    return notes


FAULT = Fault(
    title="SIGKILL of the trainer at random moments, in some trials of its resumption too, then `nnlab resume`",
    promise="weights, optimiser state, RNG and every epoch's metrics bit-identical to an undisturbed run's",
    inject=_inject,
    times=200,
    short=2,
)
