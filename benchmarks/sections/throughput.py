"""Many runs side by side on all cores: as many processes as cores, one thread each."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.effort import Effort
from benchmarks.machine import cores
from benchmarks.report import Goal, Section, number
from benchmarks.tasks import MNIST_IMAGES, NETWORKS, Task
from benchmarks.workers import Worker, rounds, started

GOALS = (1.3, 1, 4)

Candidate = tuple[str, str, Task]


def measure(effort: Effort) -> Section:
    """Choose each peer's best stack on fewer images, then time the chosen ones in interleaved rounds."""
    section = Section("Many runs side by side, all cores")
    section.say(
        f"The same epochs when many runs are wanted: {len(cores())} processes at once, each kept on a core of its own",
        "with one thread. nnlab may train several runs as one stack in each process, JAX by `vmap`; the column *stack*",
        f"says which size was best of those tried on {effort.trial_images:,} images. Seconds are the slower process's,",
        "divided by the runs trained.",
    )
    for position, network in enumerate(NETWORKS):
        _measure_network(section, GOALS[position], network, effort)
    return section


def _measure_network(section: Section, bound: float, network: Task, effort: Effort) -> None:
    candidates: dict[str, list[tuple[str, int]]] = {
        "nnlab": [("nnlab_engine", size) for size in effort.stacks],
        "JAX jit": [("jax_jit", size) for size in effort.jax_stacks],
        "JAX jit, batch last": [("jax_batch_last", size) for size in effort.jax_stacks],
        "PyTorch eager": [("torch_eager", 1)],
        "scikit-learn": [("sklearn_mlp", 1)],
    }
    trial = replace(network, samples=effort.trial_images)
    best: list[Candidate] = []
    tried = {}
    for label, options in candidates.items():
        peer, size, tried[label] = _choose(label, options, trial)
        best.append((label, peer, replace(network, samples=effort.images, replicas=size)))
    with started(*best, cores=cores()) as workers:
        rounds(workers, effort.few_rounds)
    own, rows = _seconds(workers[0]), []
    for worker in workers:
        goal = None
        if worker.label.startswith("JAX"):
            goal = Goal(f"{network.title}, side by side: {worker.label} / nnlab", _seconds(worker) / own, bound)
        seconds, ratio = worker.missing or number(_seconds(worker)), number(_seconds(worker) / own)
        stack = f"{worker.task.replicas} ({tried[worker.label]})" if tried[worker.label] else "1"
        rows.append([worker.label, stack, seconds, ratio, *section.judge(goal)])
    section.say(f"**{network.title}**")
    section.table(["", "stack (seconds tried)", "seconds a run's epoch", "times nnlab's", "goal", "holds"], rows)


def _choose(label: str, options: list[tuple[str, int]], trial: Task) -> tuple[str, int, str]:
    """Return the best (peer, size) and what was tried, in words; nothing is tried where there is no choice."""
    if len(options) == 1:
        return *options[0], ""
    tasks = [(f"{label}, stack of {size}", peer, replace(trial, replicas=size)) for peer, size in options]
    with started(*tasks, cores=cores()) as workers:
        rounds(workers, 2)
    if workers[0].missing:
        return *options[0], ""
    fastest = min(range(len(options)), key=lambda position: _seconds(workers[position]))
    tried = ", ".join(f"{worker.task.replicas}: {number(_seconds(worker))}" for worker in workers)
    return *options[fastest], tried


def _seconds(worker: Worker) -> float:
    """Seconds a run's epoch of all images."""
    return worker.median / (len(cores()) * worker.task.replicas) * MNIST_IMAGES / worker.task.samples
