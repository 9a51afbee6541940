"""Run: the composition root. From jobs to trained networks and their records."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab import environment, paths, pictures
from nnlab.build import Stack, build
from nnlab.build_network import network_outputs
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.journal import Status
from nnlab.progress import Progress
from nnlab.recorder import Recorder
from nnlab.signals import sigterm_as_interrupt
from nnlab.tracking import follower
from nnlab.training import EpochResult, evaluate, train

log = logging.getLogger(__name__)


def check(job: Job) -> None:
    """Build a job's objects without training, so that what can't work is refused before anything is written.

    Raises:
        NnlabError: one line about what is wrong.
    """
    try:
        build([job.config])
    except MemoryError as error:
        raise NnlabError(f"the run does not fit into memory: {error}") from error


def default_name(job: Job) -> str:
    """Return the name of a run that is not part of a sweep: ``wine-mlp-tanh-s0``."""
    choices = job.choices
    return f"{choices['dataset']}-{choices['architecture']}-{choices['activation']}-s{job.config.seed}"


class Outcome(NamedTuple):
    """How a run ended."""

    status: Status
    reason: str | None = None


def run(
    jobs: Sequence[Job],
    directories: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    parent: str | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train some jobs as one stack, each with a directory and a record of its own; a lone run is a stack of one.

    Args:
        jobs: that share data set, architecture, activation, loss and training.
        directories: one a job.
        names: of the runs, for people; by default what they are made of.
        parent: run id of the sweep.
        progress: where to show it; by default nowhere.

    Returns:
        one outcome a job: FINISHED, or FAILED if its numbers became NaN or Inf.

    Raises:
        NnlabError: the jobs can't be built.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; the records are closed as KILLED first.
    """
    config = jobs[0].config
    names = names or [default_name(job) for job in jobs]
    with sigterm_as_interrupt(), environment.blas_threads(config.training.blas_threads) as threads:
        stack = build([job.config for job in jobs])
        recorders: dict[int, Recorder] = {}
        try:
            for replica, (job, directory, name) in enumerate(zip(jobs, directories, names, strict=True)):
                recorders[replica] = Recorder(
                    job, directory, name, parent, _header(stack), _identity(stack, replica, threads), threads
                )
            if config.tracking.enabled:
                follower.ensure(paths.outputs_dir(), directories)
            return _train(stack, recorders, progress)
        except BaseException as error:
            killed = isinstance(error, KeyboardInterrupt)
            if not killed:
                log.exception("the run did not finish")
            for recorder in recorders.values():
                if killed:
                    recorder.save_best()
                    pictures.draw_curves(recorder)
                recorder.close("KILLED" if killed else "FAILED", "interrupted" if killed else _describe(error))
            raise


class _End(NamedTuple):
    """Where one run of a stack ended: its last epoch and the arrays and manifest of its last checkpoint."""

    epoch: int
    arrays: dict[str, NDArray[Any]]
    manifest: dict[str, Any]


def _train(stack: Stack, recorders: dict[int, Recorder], progress: Progress | None) -> list[Outcome]:
    """Train, and take each recorder out of ``recorders`` when its run is closed."""
    outcomes: dict[int, Outcome] = {}
    started = time.perf_counter()
    best: dict[int, tuple[dict[str, NDArray[Any]], dict[str, Any]]] = {}
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
            recorder.epoch(result, replica, snapshot)
            if replica in result.failed:
                reason = f"epoch {result.epoch}: NaN or Inf in {result.failed[replica]}"
                recorder.save_best()
                pictures.draw_curves(recorder)
                recorders.pop(replica).close("FAILED", reason)
                outcomes[replica] = Outcome("FAILED", reason)
                continue
            if stack.restores_best and replica in result.improved:
                best[replica] = snapshot()
            if is_last or replica in result.stopped:
                ends[replica] = _end(result, snapshot(), best.get(replica))
        if progress:
            progress.epoch(result, stack.plan.epochs)
    seconds = time.perf_counter() - started
    for replica, end in ends.items():
        stack.network.load_state_dict({name: end.arrays[name] for name in stack.network.state_dict()}, replica)
    final = _final_metrics(stack) if recorders else {}
    for replica, end in ends.items():
        recorder = recorders[replica]
        values = {name: float(of_stack[replica]) for name, of_stack in final.items()}
        if "restored_epoch" in end.manifest:
            values["final/epoch"] = end.manifest["restored_epoch"]
        recorder.finish(values, end.epoch, end.arrays, end.manifest)
        share = recorder.recording_seconds / seconds
        log.info("trained in %.2f s, %.2f %% of it spent in recording", seconds, 100 * share)
        pictures.draw_curves(recorder)
        pictures.draw_predictions(recorder, stack, replica)
        recorders.pop(replica).close("FINISHED")
        outcomes[replica] = Outcome("FINISHED")
    return [outcome for _, outcome in sorted(outcomes.items())]


def _end(
    result: EpochResult,
    last: tuple[dict[str, NDArray[Any]], dict[str, Any]],
    best: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None,
) -> _End:
    """Return a run's end: as it stands, or with the arrays of the best epoch if early stopping restores them."""
    arrays, manifest = last
    if best and best[1]["epoch"] != result.epoch:
        arrays, manifest = best[0], {**manifest, "restored_epoch": best[1]["epoch"]}
    return _End(result.epoch, arrays, manifest)


def _header(stack: Stack) -> dict[str, Any]:
    """Return what a run's first line says of its data and length."""
    data = stack.dataset
    return {
        "dataset": {
            "name": data.name,
            "hash": data.data_hash,
            "source": data.source,
            "samples": len(data.y),
            "features": data.features,
            "classes": data.classes,
            "parts": {name: part.size for name, part in stack.parts.items()},
        },
        "epochs": stack.plan.epochs,
        "eval_every": stack.plan.eval_every,
    }


def _identity(stack: Stack, replica: int, threads: int) -> dict[str, Any]:
    """Return what the manifests of all of a run's checkpoints say: what the network is, and of which run."""
    config = stack.configs[replica]
    node = config.to_dict()
    return {
        "seed": config.seed,
        "network": {
            "in_features": stack.dataset.features,
            "out_features": network_outputs(config, stack.dataset),
            "architecture": node["architecture"],
            "activation": node["activation"],
            "dtype": config.training.dtype,
        },
        "optimizer": node["optimizer"],
        "schedule": node["schedule"],
        "class_names": list(stack.dataset.class_names),
        "config_hash": config.config_hash(threads),
    }


def _snapshot(stack: Stack, replica: int, result: EpochResult) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
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


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, NnlabError) else f"{type(error).__name__}: {error}"
