"""Pictures: which plots a run gets when its training is over."""

from __future__ import annotations

import functools

from nnlab.build import Stack
from nnlab.history_csv import write_history, write_updates
from nnlab.network import Network
from nnlab.recorder import Recorder


def draw_curves(recorder: Recorder) -> None:
    """Write a run's history.csv and the curves over it, and the same of the updates if they are recorded."""
    from nnlab import figures, plots  # matplotlib takes 0.7 s to import: after training, not before

    record = recorder.record()
    recorder.artifact("history.csv", functools.partial(write_history, steps=record.steps))
    best_epoch = recorder.checkpoints.best.get("epoch")
    for metric in ("loss", "accuracy"):
        figure = plots.curves(record.steps, metric, f"{metric} of {recorder.name}", best_epoch)
        recorder.artifact(f"plots/{metric}.png", functools.partial(figures.save, figure))
    if record.updates:
        recorder.artifact("updates.csv", functools.partial(write_updates, updates=record.updates))
        points = [(step, each["update/loss"], each["update/accuracy"]) for step, each in record.updates.items()]
        figure = plots.updates(points, f"{recorder.name}: each batch before its update")
        recorder.artifact("plots/updates.png", functools.partial(figures.save, figure))


def draw_predictions(recorder: Recorder, stack: Stack, replica: int, when: str) -> None:
    """Write what a run's network predicts: the confusion matrix, and for two inputs the decision boundary.

    Args:
        recorder: of the run.
        stack: that has its network.
        replica: which of it is this run.
        when: of what epoch the network is, for the title.
    """
    from nnlab import figures, plots

    network = Network.of_stack(stack, replica)
    data, split = stack.dataset, stack.splits[replica]
    inputs = {name: data.x[getattr(split, name)] / data.scale for name in stack.parts}
    shown = "test" if "test" in stack.parts else "train"
    labels = data.y[getattr(split, shown)]
    title = f"{recorder.name}\n{when}, {shown}: {len(labels)} samples"
    figure = plots.confusion_matrix(labels, network.predict(inputs[shown]), data.class_names, title)
    recorder.artifact("plots/confusion.png", functools.partial(figures.save, figure))
    if data.features == 2:
        points = {name: (x, data.y[getattr(split, name)]) for name, x in inputs.items()}
        figure = plots.decision_boundary(network.predict, points, data.feature_names, recorder.name)
        recorder.artifact("plots/decision_boundary.png", functools.partial(figures.save, figure))
