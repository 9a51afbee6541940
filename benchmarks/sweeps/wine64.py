"""64 runs of wine as one sweep, from Enter to all of them in MLflow; and the same with Hydra and MLflow alone."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Goal, Section, number
from benchmarks.sweeps import commands, records, stored
from benchmarks.sweeps.commands import Done
from benchmarks.sweeps.effort import Effort
from nnlab.tracking.thinning import Thinning

PEERS = {"scikit-learn": "sklearn", "PyTorch": "torch"}
_PHASES = {
    "planning": "from Enter to the first run's record: Python, composing and checking all jobs, starting the workers",
    "training": "to the last run's last epoch; the other worker may be at its pictures by then",
    "pictures": "to the last run's closed record: final evaluation, checkpoints, pictures",
    "answer": "to the sweep's closed record: comparison, its pictures",
    "mirroring": "to the end of the process, when MLflow has all; it begins with the first run, at idle priority",
}


def measure(effort: Effort) -> Section:
    """Time the sweep, look into the store, and measure the peers on a part."""
    runs, epochs = effort.wine_runs, effort.wine_epochs
    section = Section(f"wine64: {runs} runs of wine, {epochs:,} epochs each")
    rounds = [_sweep(effort, "default", number) for number in range(effort.wine_rounds)]
    whole = _sweep(effort, "whole", 0, "tracking.max_points=null")
    own = statistics.median(each.seconds for each in rounds)
    section.say(
        f"`nnlab train -m {shlex.join(_overrides(effort))}`: 13-5-5-3, tanh, lr 0.1, the full batch of 107",
        "bottles, val and test evaluated after every epoch. Wall clock from starting the process, in a new outputs",
        "root, to its end; it ends when all is in MLflow. Then the store was asked, each time, and had the finished",
        f"parent and {runs} finished children with plots, checkpoints and {rounds[0].rows:,} values of metrics each.",
    )
    times = ", ".join(number(each.seconds) for each in rounds)
    goal = Goal(f"wine64: Enter to {runs} runs in MLflow", own, 45, " s", at_most=True)
    points = Thinning.of(epochs, 1, 320)
    thinned = len(points.trained) + 1 if points.trained is not None else epochs
    section.table(
        ["", "seconds", "rounds", "goal", "holds"],
        [
            [f"nnlab, {thinned} epochs in MLflow, all in history.csv", number(own), times, *section.judge(goal)],
            ["nnlab, every epoch in MLflow (`tracking.max_points=null`)", number(whole.seconds), "1", "-", "-"],
        ],
    )
    section.say("Where the time goes, medians:")
    rows = [
        [phase, number(statistics.median(each.phases[phase] for each in rounds)), what]
        for phase, what in _PHASES.items()
    ]
    section.table(["", "seconds", ""], rows)
    _compare(section, effort, own, thinned)
    return section


@dataclass(frozen=True)
class _Sweep:
    seconds: float
    phases: dict[str, float]
    rows: int


def _overrides(effort: Effort) -> list[str]:
    epochs = f"training.epochs={effort.wine_epochs}"
    return [f"seed=range({effort.wine_runs})", "architecture.hidden_sizes=[5,5]", epochs, "training.batch_size=null"]


def _sweep(effort: Effort, what: str, place: int, *more: str) -> _Sweep:
    with commands.outputs_root() as outputs:
        done = commands.run(outputs, "train", "-m", *_overrides(effort), *more)
        commands.say(f"wine64, nnlab, {what}, round {place + 1}: {done.seconds:.2f} s")
        found = stored.runs(outputs)
        if problems := stored.problems(found, effort.wine_runs):
            raise RuntimeError(f"the sweep is not whole: {'; '.join(problems)}\n{done.output}")
        rows = max(run.rows for run in stored.children(found))  # the best epoch may be one of those that are spaced out
        return _Sweep(done.seconds, _phases(done, records.sweep_of(outputs)), rows)


def _phases(done: Done, directory: Path) -> dict[str, float]:
    courses = [records.course(job) for job in records.jobs(directory).values()]
    moments = [
        done.started,
        min(course.began for course in courses),
        max(course.last for course in courses),
        max(course.closed for course in courses),
        records.course(directory).closed,
        done.started + done.seconds,
    ]
    return {phase: moments[at + 1] - moments[at] for at, phase in enumerate(_PHASES)}


@dataclass(frozen=True)
class _Peer:
    """What the peer's sweep cost: once, a run, and an epoch, of which so much is ``mlflow.log_metrics``; seconds."""

    once: float
    run: float
    epoch: float
    logging: float

    def seconds(self, runs: int, epochs: int, logged: int) -> float:
        """Scale to a sweep of which so many epochs a run are logged."""
        return self.once + runs * (self.run + epochs * (self.epoch - self.logging) + logged * self.logging)


def _compare(section: Section, effort: Effort, own: float, thinned: int) -> None:
    runs, epochs = effort.wine_runs, effort.wine_epochs
    peers = {label: _peer(effort, framework) for label, framework in PEERS.items()}
    section.say(
        "**Hydra's basic launcher and plain `mlflow.log_metrics`**",
        "",
        "[wine_peer.py](wine_peer.py): the same network, data, split sizes, epochs and evaluation, in scikit-learn",
        "(`partial_fit`) and PyTorch (eager, one thread); six metrics an epoch in one call, a picture of the losses",
        f"and the weights at the end, into a new sqlite store. Measured: `-m seed=range({effort.peer_runs})` of",
        f"{effort.peer_epochs} epochs. Scaled: *once* + {runs} x (*a run* + {epochs:,} x *an epoch*), where *an epoch*",
        "is the mean of all that were measured; *a run* is what a job takes beside its epochs, from the end of the one",
        "before, the median without the first; *once* is the rest of the wall clock: Python, imports, the store's",
        "schema, Hydra's check of all jobs. That Hydra has more jobs to check in the long sweep is not counted.",
        f"Versions: {_versions(effort.peer_python)}.",
    )
    rows, ratios = [], list[float]()
    for label, peer in peers.items():
        if isinstance(peer, str):
            rows.append([label, peer, *["-"] * 6])
            continue
        whole, fewer = (peer.seconds(runs, epochs, logged) for logged in (epochs, thinned))
        ratios.append(whole / own)
        parts = [number(peer.once, " s"), number(peer.run, " s"), number(1000 * peer.epoch, " ms")]
        rows.append([label, *parts, number(1000 * peer.logging, " ms"), f"{whole:,.0f}", number(whole / own)])
        rows[-1].append(f"{fewer:,.0f}, {number(fewer / own)}")
    head = ["", "once", "a run", "an epoch", "of it logging", "scaled, seconds", "times nnlab's"]
    section.table([*head, f"if it logged {thinned} epochs only"], rows)
    least = min(ratios, default=float("nan"))
    goal = Goal("wine64: the same with Hydra and MLflow alone, the faster of the two / nnlab", least, 30)
    text, verdict = section.judge(goal)
    section.say(f"The faster of the two takes {number(least)} times nnlab's time; goal: {text}; holds: {verdict}.")


def _versions(python: str) -> str:
    """Return those of what the peers are made of."""
    names = ("hydra-core", "mlflow", "numpy", "scikit-learn", "torch")
    ask = (
        "from importlib.metadata import distributions\n"
        f"print(', '.join(sorted({{d.name + ' ' + d.version for d in distributions() if d.name in {names}}})))"
    )
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def _peer(effort: Effort, framework: str) -> _Peer | str:
    """Measure a peer on a part; or return why it can't be."""
    probe = subprocess.run([effort.peer_python, "-c", f"import hydra, mlflow, {framework}"], capture_output=True)
    if probe.returncode:
        return "not installed"
    script = Path(__file__).with_name("wine_peer.py")
    with tempfile.TemporaryDirectory(prefix="nnlab-sweeps-") as folder:
        marks = Path(folder, "marks.jsonl")
        overrides = (f"seed=range({effort.peer_runs})", f"framework={framework}", f"epochs={effort.peer_epochs}")
        environment = {
            key: text for key, text in os.environ.items() if key not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")
        }
        started = time.perf_counter()
        done = subprocess.run(
            [effort.peer_python, str(script), "-m", *overrides, f"marks={marks}"],
            cwd=folder,
            env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{framework} failed:\n{done.stderr}")
        jobs = [json.loads(line) for line in marks.read_text().splitlines()]
    commands.say(f"wine64, {framework}: {seconds:.2f} s for {len(jobs)} runs of {effort.peer_epochs} epochs")
    epochs = [job["epochs_ended"] - job["epochs_began"] for job in jobs]
    ends = [job["ended"] for job in jobs]
    beside = [ends[at] - ends[at - 1] - epochs[at] for at in range(1, len(jobs))]
    run, count = statistics.median(beside), len(jobs) * effort.peer_epochs
    once = seconds - sum(epochs) - len(jobs) * run
    return _Peer(once, run, sum(epochs) / count, sum(job["logging"] for job in jobs) / count)
