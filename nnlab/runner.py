"""Run: the composition root. From jobs to trained networks and their records."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnlab import environment, memory, paths, pictures
from nnlab.build import Stack, build
from nnlab.build_network import network_outputs
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.progress import Progress
from nnlab.recorded_training import Outcome, train_recorded
from nnlab.recorder import Recorder
from nnlab.signals import sigterm_as_interrupt
from nnlab.tracking import follower

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


def run(
    jobs: Sequence[Job],
    directories: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Train some jobs side by side, each with a directory and a record of its own; a lone run is a stack of one.

    Args:
        jobs: that share data set, architecture, activation, loss and training. They are cut into stacks of the size
            that is the fastest (``memory.best_stack``), which are trained one after the other.
        directories: one a job.
        names: of the runs, for people; by default what they are made of.
        parent: run id of the sweep.
        tags: further ones of each run, name -> text.
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
        size = memory.best_stack([job.config for job in jobs])
        named = list(zip(jobs, directories, names, strict=True))
        outcomes: list[Outcome] = []
        for start in range(0, len(named), size):
            outcomes += _run_stack(named[start : start + size], parent, tags or {}, threads, progress)
        return outcomes


def _run_stack(
    named: Sequence[tuple[Job, Path, str]],
    parent: str | None,
    tags: Mapping[str, str],
    threads: int,
    progress: Progress | None,
) -> list[Outcome]:
    stack = build([job.config for job, _, _ in named])
    recorders: dict[int, Recorder] = {}
    try:
        for replica, (job, directory, name) in enumerate(named):
            recorders[replica] = Recorder(
                job, directory, name, parent, _header(stack), _identity(stack, replica, threads), threads, tags
            )
        if named[0][0].config.tracking.enabled:
            follower.ensure(paths.outputs_dir(), [directory for _, directory, _ in named])
        return train_recorded(stack, recorders, progress)
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


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, NnlabError) else f"{type(error).__name__}: {error}"
