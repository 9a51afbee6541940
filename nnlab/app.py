"""App: the verb ``train``, from its command line to the last word on the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from nnlab import journal, paths, runner
from nnlab.compose import (
    CONFIG_NAME,
    VERSION_BASE,
    compose_job,
    hydra_app,
    hydra_errors,
    job_from,
    own_directory,
    register,
)
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.mirroring import say_where, wait_until_mirrored
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.signals import ends_with_its_reader
from nnlab.sweep import frozen
from nnlab.watcher import Outcome


def train(arguments: Sequence[str]) -> Path | None:
    """Run ``nnlab train`` with Hydra's arguments.

    Returns:
        the directory of the run or the sweep; None where a flag only asked to be shown something.

    Raises:
        NnlabError: the input was wrong, or a run failed.
        KeyboardInterrupt: on Ctrl-C, when the records are closed.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign] # Hydra's own prints a dozen lines of usage
    options = parser.parse_args(list(arguments))
    if options.experimental_rerun is not None:
        raise NnlabError("--experimental-rerun reads a pickle, which can run anything: nnlab does not")
    if any((options.help, options.hydra_help, options.cfg, options.info, options.shell_completion)):
        _show(arguments)
        return None
    overrides = list(options.overrides)
    with hydra_app(overrides, options.config_dir, options.config_path) as app:
        config_name = options.config_name or CONFIG_NAME
        if options.multirun or "hydra.mode=MULTIRUN" in overrides:
            swept: Path = app.multirun(config_name, task, [*overrides, "hydra.mode=MULTIRUN"])
            return swept
        job = compose_job(app, overrides, config_name)
        runner.check(job)
        directory = own_directory(job.directory, "hydra.run.dir")
        say_where(job.config.tracking.enabled)
        say(f"run      {directory}")
        try:
            outcome = app.run(config_name, task, overrides).return_value
        except KeyboardInterrupt:
            say(f"interrupted: the run is kept as KILLED; go on with: nnlab resume {directory}")
            raise
        end(directory, job.config, outcome)
        return directory


def task(composed: DictConfig) -> Outcome:
    """Do one job: what Hydra calls, in whatever process its launcher chose. A sweep's job is done as it was planned.

    Raises:
        NnlabError: the job can't be built.
    """
    hydra_node = HydraConfig.get()
    if hydra_node.mode is RunMode.MULTIRUN:
        return _job_of_sweep(Path(hydra_node.runtime.cwd, hydra_node.sweep.dir).resolve(), int(hydra_node.job.num))
    with open_dict(composed):
        composed.hydra = hydra_node
    job = job_from(composed)
    name = runner.default_name(job)
    with Progress(name) as progress:
        (outcome,) = runner.run([job], [job.directory], names=[name], progress=progress)
    if outcome.reason:
        say(f"{name}  {'FAILED: ' if outcome.status == 'FAILED' else ''}{outcome.reason}")
    return outcome


def end(directory: Path, config: Config, outcome: Outcome) -> None:
    """Say how a lone run ended, and wait until it is in MLflow.

    Args:
        directory: of the run.
        config: of the run.
        outcome: of the run.

    Raises:
        NnlabError: it failed.
    """
    if outcome.status == "FINISHED":
        metrics = journal.read(directory).metrics
        shown = {split: metrics.get(f"final/{split}_accuracy") for split in ("train", "val", "test")}
        say("accuracy  " + "  ".join(f"{split} {value:.4f}" for split, value in shown.items() if value is not None))
    wait_until_mirrored(config.tracking.enabled, [directory], config.tracking.wait_seconds)
    if outcome.status == "FAILED":
        raise NnlabError(f"the run FAILED: {outcome.reason}; its record is in {directory}", exit_code=1)


def _job_of_sweep(directory: Path, number: int) -> Outcome:
    sweep, planned = journal.read(directory).run, frozen.job(directory, number)
    if planned.job is None:
        raise NnlabError(f"job {number} can't run: {planned.problem}")
    name = planned.name or runner.default_name(planned.job)
    title = f"job {number} of {sweep['jobs']}  {name}"
    with Progress(title, lines=1) as progress:
        (outcome,) = runner.run(
            [planned.job], [planned.job.directory], names=[name], parent=sweep["run_id"], progress=progress
        )
    if outcome.reason:
        say(f"{title}  {'FAILED: ' if outcome.status == 'FAILED' else ''}{outcome.reason}")
    return outcome


def _show(arguments: Sequence[str]) -> None:
    """Let Hydra itself answer --help, --cfg, --info and the like."""
    register()
    with _command_line(arguments), ends_with_its_reader(), hydra_errors(arguments):
        hydra.main(str(paths.conf_dir()), CONFIG_NAME, VERSION_BASE)(task)()


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Give Hydra's main its arguments, and let errors come out of it instead of ending the process."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["nnlab", *arguments], "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


def _refuse(message: str) -> NoReturn:
    raise NnlabError(f"train: {message}; `nnlab train --help` lists the flags")
