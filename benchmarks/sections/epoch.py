"""One MNIST epoch of a lone run with all cores."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.effort import Effort
from benchmarks.report import Goal, Section, number
from benchmarks.tasks import MNIST_IMAGES, NETWORKS, Task
from benchmarks.workers import rounds, started

PEERS = {
    "nnlab": "nnlab_engine",
    "JAX jit, a call a batch": "jax_step",
    "JAX jit, a call an epoch": "jax_jit",
    "JAX jit, a call an epoch, batch last": "jax_batch_last",
    "PyTorch eager": "torch_eager",
    "scikit-learn": "sklearn_mlp",
    "the same matrix products alone (NumPy)": "gemm_only",
}
GOALS: dict[str, tuple[float | None, ...]] = {
    "JAX jit, a call a batch": (0.85, 0.7, 1.9),
    "JAX jit, a call an epoch": (0.85, 0.7, 1.9),
    "JAX jit, a call an epoch, batch last": (0.85, 0.7, 1.9),
    "PyTorch eager": (1.35, 1, 7),
    "scikit-learn": (2.7, 2.4, 6),
    "the same matrix products alone (NumPy)": (0.68, 0.88, None),
}


def measure(effort: Effort) -> Section:
    """Time all peers on the three networks."""
    section = Section("One MNIST epoch, one run, all cores")
    section.say(
        "Training only: 60,000 images in a fresh random order, minibatches gathered, plain SGD with lr 0.1, relu,",
        "softmax cross-entropy, float32. *Times nnlab's*: how many times as long as nnlab it takes; above 1 nnlab is",
        "faster. The last row is NumPy's floor, the matrix products of the epoch and nothing else: where JAX takes",
        "less than that, no program on NumPy's BLAS can keep up with it.",
    )
    for position, network in enumerate(NETWORKS):
        _measure_network(section, position, replace(network, samples=effort.images, epochs=effort.epochs), effort)
    return section


def _measure_network(section: Section, position: int, task: Task, effort: Effort) -> None:
    with started(*((label, peer, task) for label, peer in PEERS.items())) as workers:
        rounds(workers, effort.rounds)
    own, rows = workers[0].median, []
    for worker in workers:
        seconds = worker.median / task.epochs * MNIST_IMAGES / task.samples
        bound = GOALS.get(worker.label, (None,) * 3)[position]
        ratio = worker.median / own
        goal = None if bound is None else Goal(f"{task.title}: {worker.label} / nnlab", ratio, bound)
        rows.append([worker.label, worker.missing or number(seconds), number(ratio), *section.judge(goal)])
    section.say(f"**{task.title}**")
    section.table(["", "seconds an epoch", "times nnlab's", "goal", "holds"], rows)
