"""Recorded training: the loop with each replica's record beside it, from epoch 0 to the closed run."""

from __future__ import annotations

import functools
import logging
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab import pictures
from nnlab.build import Stack
from nnlab.journal import Status
from nnlab.progress import Progress
from nnlab.recorder import Recorder
from nnlab.training import EpochResult, evaluate, train

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a run ended."""

    status: Status
    reason: str | None = None


Snapshot = tuple[dict[str, NDArray[Any]], dict[str, Any]]
"""A run's arrays and the manifest of their checkpoint."""


class _End(NamedTuple):
    """Where and why one run of a stack ended: its last epoch, and the one that early stopping goes back to."""

    last: Snapshot
    restored: Snapshot | None
    reason: str | None


def train_recorded(stack: Stack, recorders: dict[int, Recorder], progress: Progress | None) -> list[Outcome]:
    """Train a stack, recording each replica's run.

    Args:
        stack: to be trained.
        recorders: replica -> the recorder of its run, which is taken out when the run is closed.
        progress: where to show it.

    Returns:
        one outcome a run, in the order of the replicas.
    """
    outcomes: dict[int, Outcome] = {}
    started = time.perf_counter()
    best: dict[int, Snapshot] = {}
    ends: dict[int, _End] = {}
    for result in train(
        stack.network,
        stack.loss,
        stack.optimizer,
        stack.schedules,
        stack.batches,
        stack.plan,
        {name: part for name, part in stack.parts.items() if name != "train"},
        penalty=stack.penalty,
        early_stopping=stack.early_stopping,
        diagnostics=stack.diagnostics,
        listeners=stack.listeners(),
    ):
        is_last = result.epoch == stack.plan.epochs
        for replica in recorders.keys() - ends.keys():
            recorder, snapshot = recorders[replica], functools.partial(_snapshot, stack, replica, result)
            is_end = is_last or replica in result.stopped
            recorder.epoch(result, replica, snapshot, is_end=is_end and replica not in result.failed)
            if replica in result.failed:
                reason = f"epoch {result.epoch}: NaN or Inf in {result.failed[replica]}"
                recorder.save_best()
                pictures.draw_curves(recorder)
                recorders.pop(replica).close("FAILED", reason)
                outcomes[replica] = Outcome("FAILED", reason)
                continue
            if stack.restores_best and replica in result.improved:
                best[replica] = snapshot()
            if is_end:
                improved_now = replica in result.improved
                stopped = result.stopped.get(replica)
                why = f"stopped after epoch {result.epoch}: {stopped}" if stopped else None
                ends[replica] = _End(snapshot(), None if improved_now else best.get(replica), why)
        if progress:
            progress.epoch(result, stack.plan.epochs)
    seconds = time.perf_counter() - started
    for replica, end in ends.items():
        arrays, _ = end.restored or end.last
        stack.network.load_state_dict({name: arrays[name] for name in stack.network.state_dict()}, replica)
    final = _final_metrics(stack) if recorders else {}
    for replica, end in ends.items():
        recorder = recorders[replica]
        values = {name: float(of_stack[replica]) for name, of_stack in final.items()}
        recorder.finish(values, end.last, end.restored)
        share = recorder.recording_seconds / seconds
        if end.reason:
            log.info(end.reason)
        log.info("trained in %.2f s, %.2f %% of it spent in recording", seconds, 100 * share)
        pictures.draw_curves(recorder)
        when = "last epoch" if end.restored is None else f"best epoch ({end.restored[1]['epoch']})"
        pictures.draw_predictions(recorder, stack, replica, when)
        recorders.pop(replica).close("FINISHED")
        outcomes[replica] = Outcome("FINISHED", end.reason)
    return [outcome for _, outcome in sorted(outcomes.items())]


def _snapshot(stack: Stack, replica: int, result: EpochResult) -> Snapshot:
    """Return copies of a run's arrays, and where its training stands."""
    arrays = {name: array.copy() for name, array in stack.network.state_dict(replica).items()}
    optimizer = stack.optimizer.state_dict(replica)
    arrays |= {f"optimizer.{name}": array.copy() for name, array in optimizer.items()}
    arrays |= stack.standardization[replica]
    states = {name: stream.bit_generator.state for name, stream in stack.streams[replica]._asdict().items()}
    manifest = {"epoch": result.epoch, "step": result.step, "random_states": states}
    if replica in stack.plateaus:
        manifest["schedule_state"] = stack.plateaus[replica].state_dict()
    if stack.early_stopping:
        manifest["early_stopping"] = stack.early_stopping.state_dict(replica)
    return arrays, manifest


def _final_metrics(stack: Stack) -> dict[str, NDArray[np.float64]]:
    """Evaluate every part exactly, the training part too."""
    metrics = {}
    for name, part in stack.parts.items():
        metrics[f"final/{name}_loss"], metrics[f"final/{name}_accuracy"] = evaluate(stack.network, stack.loss, part)
    if stack.penalty:
        metrics["final/penalty"] = stack.penalty.forward()
    return metrics
