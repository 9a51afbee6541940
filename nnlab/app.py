"""App: the verb ``train``, from its command line to the last word on the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from nnlab import journal, paths, runner, tables
from nnlab.comparison import compare, frame
from nnlab.compose import CONFIG_NAME, VERSION_BASE, compose_job, hydra_app, hydra_errors, job_from, register
from nnlab.errors import NnlabError
from nnlab.mirroring import say_where, wait_until_mirrored
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.recorded_training import Outcome
from nnlab.signals import ends_with_its_reader
from nnlab.sweep.plan import name


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
            return _sweep(app, config_name, overrides)
        job = compose_job(app, overrides, config_name)
        runner.check(job)
        directory = _own_directory(job.directory, "hydra.run.dir")
        say_where(job.config.tracking.enabled)
        say(f"run      {directory}")
        try:
            outcome = app.run(config_name, task, overrides).return_value
        except KeyboardInterrupt:
            say(f"interrupted: the run is kept as KILLED in {directory}")
            raise
        if outcome.status == "FAILED":
            wait_until_mirrored(job.config.tracking.enabled, [directory], job.config.tracking.wait_seconds)
            raise NnlabError(f"the run FAILED: {outcome.reason}; its record is in {directory}", exit_code=1)
        record = journal.read(directory)
        shown = {key: record.metrics.get(f"final/{key}_accuracy") for key in ("train", "val", "test")}
        say("accuracy  " + "  ".join(f"{split} {value:.4f}" for split, value in shown.items() if value is not None))
        wait_until_mirrored(job.config.tracking.enabled, [directory], job.config.tracking.wait_seconds)
        return directory


def task(composed: DictConfig) -> Outcome:
    """Do one job: what Hydra calls, in whatever process its launcher chose.

    Raises:
        NnlabError: the job can't be built.
    """
    hydra_node = HydraConfig.get()
    with open_dict(composed):
        composed.hydra = hydra_node
    job = job_from(composed)
    run_name, parent, title, lines = runner.default_name(job), None, "", 20
    if hydra_node.mode is RunMode.MULTIRUN:
        sweep = journal.read(Path(hydra_node.sweep.dir)).run
        run_name, parent = name(job.overrides, sweep["swept"]) or run_name, sweep["run_id"]
        title, lines = f"job {hydra_node.job.num} of {sweep['jobs']}  ", 1
    with Progress(f"{title}{run_name}", lines) as progress:
        (outcome,) = runner.run([job], [job.directory], names=[run_name], parent=parent, progress=progress)
    if outcome.reason:
        say(f"{title}{run_name}  {'FAILED: ' if outcome.status == 'FAILED' else ''}{outcome.reason}")
    return outcome


def _sweep(app: Hydra, config_name: str, overrides: list[str]) -> Path:
    base = app.compose_config(config_name, [*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
    directory = _own_directory(Path(str(base.hydra.sweep.dir)), "hydra.sweep.dir")
    say_where(base.tracking.enabled)
    say(f"sweep    {directory}")
    try:
        app.multirun(config_name, task, [*overrides, "hydra.mode=MULTIRUN"])
    finally:
        children = sorted(path.parent for path in directory.glob(f"*/{journal.NAME}"))
        if children:
            runs = frame(children)
            if "FINISHED" in set(runs.get("status", ())):
                tables.print_comparison(compare(runs=runs))
            wait_until_mirrored(base.tracking.enabled, [directory, *children], base.tracking.wait_seconds)
    return directory


def _own_directory(directory: Path, key: str) -> Path:
    """Refuse a directory that holds something: what is recorded there would be mixed with it."""
    directory = directory.resolve()
    if directory == Path.cwd() or (directory.is_dir() and any(directory.iterdir())):
        raise NnlabError(f"{key}={directory}: it is in use or not empty; a run needs a directory of its own")
    return directory


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
