"""A small convolutional network: LeNet on MNIST."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.effort import Effort
from benchmarks.report import Goal, Section, number
from benchmarks.tasks import LENET, MNIST_IMAGES
from benchmarks.workers import rounds, started


def measure(effort: Effort) -> Section:
    """Time nnlab and PyTorch."""
    section = Section("LeNet on MNIST, one run, all cores")
    section.say(
        "Convolution 1 to 6 (5 x 5, padding 2), relu, maximum of 2 x 2, convolution 6 to 16 (5 x 5), relu, maximum of",
        "2 x 2, then 400-120-84-10; batches of 128, lr 0.1, float32. Here PyTorch's compiled convolutions should win.",
    )
    task = replace(LENET, samples=effort.images)
    with started(("nnlab", "nnlab_engine", task), ("PyTorch eager", "torch_eager", task)) as workers:
        rounds(workers, effort.few_rounds)
    nnlab, torch = workers
    ratio = nnlab.median / torch.median
    goal = section.judge(Goal("LeNet: nnlab / PyTorch eager", ratio, 1.25, at_most=True))
    seconds = {
        worker.label: worker.missing or number(worker.median * MNIST_IMAGES / task.samples) for worker in workers
    }
    section.table(
        ["", "seconds an epoch", "times PyTorch's", "goal", "holds"],
        [
            ["nnlab", seconds["nnlab"], number(ratio), *goal],
            ["PyTorch eager", seconds["PyTorch eager"], "1", "-", "-"],
        ],
    )
    return section
