"""Small networks in a stack: wine on one core, and the curve of cost a run over the size of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.effort import FULL, Effort
from benchmarks.machine import cores
from benchmarks.report import Goal, Section, number
from benchmarks.tasks import WINE, WINE_EPOCHS
from benchmarks.workers import Worker, rounds, started

PEERS = (
    ("JAX", "jax_jit", (1, 64)),
    ("JAX, batch last", "jax_batch_last", (1, 64)),
    ("PyTorch eager", "torch_eager", (1,)),
)
GOALS = {"JAX, vmap over 64": 3.5, "JAX, batch last, vmap over 64": 3.5, "PyTorch eager": 50}
STACK = 64
_TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000)  # milliseconds
PICTURE = Path(__file__).parents[1] / "wine_stack.png"


def measure(effort: Effort) -> Section:
    """Time stacks of all sizes and the peers, on the first core."""
    section = Section("Many small networks: wine, one core")
    section.say(
        f"13-5-5-3, tanh, lr 0.07, all 178 bottles as one batch, {WINE_EPOCHS:,} epochs, float32, training only, one",
        "core and one thread. In a stack many networks are trained by the same calls, so that the cost of a call is",
        "shared; milliseconds are those of the whole stack divided by its networks.",
    )
    task = replace(WINE, epochs=effort.wine_epochs)
    own = [(f"nnlab, stack of {size}", "nnlab_engine", replace(task, replicas=size)) for size in effort.wine_stacks]
    peers = [
        (f"{label}, vmap over {size}" if size > 1 else label, peer, replace(task, replicas=size))
        for label, peer, sizes in PEERS
        for size in sizes
    ]
    with started(*own, *peers, cores=cores()[:1]) as workers:
        rounds(workers, effort.few_rounds)
    cost = {worker.task.replicas: _milliseconds(worker) for worker in workers[: len(own)]}
    rows = []
    for worker in workers:
        milliseconds, ratio = _milliseconds(worker), _milliseconds(worker) / cost[STACK]
        goal = None
        if worker.label in GOALS:
            goal = Goal(f"wine: {worker.label} / nnlab's stack of {STACK}", ratio, GOALS[worker.label])
        if worker.label == f"nnlab, stack of {STACK}":
            goal = Goal("wine: nnlab's stack of 64, a run", milliseconds, 50, " ms", at_most=True)
        rows.append([worker.label, worker.missing or number(milliseconds), number(ratio), *section.judge(goal)])
    section.table(["", "ms a run", f"times nnlab's stack of {STACK}", "goal", "holds"], rows)
    if effort == FULL:
        _draw(cost, {worker.label: _milliseconds(worker) for worker in workers if worker.label in GOALS})
        section.say(f"![Milliseconds a run by size of the stack]({PICTURE.name})")
    return section


def _milliseconds(worker: Worker) -> float:
    return 1000 * worker.median / worker.task.replicas * WINE_EPOCHS / worker.task.epochs


def _draw(cost: Mapping[int, float], peers: Mapping[str, float]) -> None:
    from matplotlib.figure import Figure  # here, because only the full run draws

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="networks in the stack", ylabel="ms a run", xscale="log", yscale="log")
    axes.plot(list(cost), list(cost.values()), "o-", label="nnlab")
    for position, (label, milliseconds) in enumerate(peers.items(), 1):
        if milliseconds == milliseconds:
            axes.axhline(milliseconds, color=f"C{position}", linestyle="--", label=label)
    axes.set_ylim(bottom=10)
    axes.set_xticks(list(cost), [str(size) for size in cost])
    axes.set_yticks(_TICKS, [str(tick) for tick in _TICKS])
    axes.minorticks_off()
    axes.set_title("Wine 13-5-5-3, 4,500 full-batch epochs, one core")
    axes.legend()
    figure.savefig(PICTURE, dpi=90, metadata={"Software": None})
