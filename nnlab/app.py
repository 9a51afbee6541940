"""App: the verb ``train``, from its command line to the last word on the terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from nnlab import journal, paths, runner
from nnlab.compose import VERSION_BASE, hydra_app, job_from, own_directory, register
from nnlab.config import Config
from nnlab.errors import NnlabError, naming
from nnlab.explanation import CONFIG_NAME, check_overrides, hydra_errors
from nnlab.mirroring import say_where, wait_until_mirrored
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.signals import ends_with_its_reader
from nnlab.sweep import frozen
from nnlab.sweep.run_resumption import say_interrupted
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
    options = parser.parse_intermixed_args(list(arguments))  # -m may stand anywhere
    if options.experimental_rerun is not None:
        raise NnlabError("--experimental-rerun reads a pickle, which can run anything: nnlab does not")
    if options.shell_completion:
        _check_completion(options.overrides)
    if any((options.help, options.hydra_help, options.cfg, options.info, options.shell_completion)):
        _show(arguments, options.overrides)
        return None
    overrides = list(options.overrides)
    with hydra_app(overrides, options.config_dir, options.config_path) as app:
        config_name = options.config_name or CONFIG_NAME
        if options.multirun or "hydra.mode=MULTIRUN" in overrides:
            swept: Path = app.multirun(config_name, task, [*overrides, "hydra.mode=MULTIRUN"])
            return swept
        composed = app.compose_config(config_name, overrides, RunMode.RUN)
        job = job_from(composed)
        runner.check(job)
        directory = own_directory(job.directory, "hydra.run.dir")
        say_where(job.config.tracking.enabled)
        say(f"run      {directory}")
        # Or Hydra would compose it once more, which takes as long as all the rest of a short run.
        app.config_loader.load_configuration = lambda *_, **__: composed  # type: ignore[method-assign]
        try:
            with naming(directory):  # what Hydra itself writes there
                outcome = app.run(config_name, task, overrides).return_value
        except KeyboardInterrupt:
            say_interrupted(directory)
            raise
        if isinstance(outcome, (NnlabError, OSError)):
            raise outcome
        end(directory, job.config, outcome)
        return directory


def task(composed: DictConfig) -> Outcome | NnlabError | OSError:
    """Do one job: what Hydra calls, in whatever process its launcher chose. A sweep's job is done as it was planned.

    Returns:
        how it ended, or why a lone one could not begin, about which Hydra would add a line of its own.

    Raises:
        NnlabError: a sweep's job can't be built.
    """
    hydra_node = HydraConfig.get()
    with chdir(hydra_node.runtime.cwd):  # back from where hydra.job.chdir=true leads: paths mean what they did before
        return _task(composed, hydra_node)


def _task(composed: DictConfig, hydra_node: HydraConf) -> Outcome | NnlabError | OSError:
    if hydra_node.mode is RunMode.MULTIRUN:
        return _job_of_sweep(Path(hydra_node.runtime.cwd, hydra_node.sweep.dir).resolve(), int(hydra_node.job.num))
    with open_dict(composed):
        composed.hydra = hydra_node
    job = job_from(composed)
    name = runner.default_name(job)
    try:
        with Progress(name) as progress:
            (outcome,) = runner.run([job], [job.directory], names=[name], progress=progress)
    except (NnlabError, OSError) as refused:
        return refused
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


def _check_completion(asked: Sequence[str]) -> None:
    verb, _, shell = asked[0].partition("=") if len(asked) == 1 else ("", "", "")
    if verb not in ("install", "uninstall", "query") or shell not in ("bash", "fish", "zsh"):
        raise NnlabError(
            "--shell-completion takes one of install, uninstall and query, of bash, fish or zsh: "
            '`eval "$(nnlab -sc install=bash)"`'
        )
    if verb == "query" and not os.environ.get("COMP_LINE", "").strip():
        raise NnlabError(f"{asked[0]} is what a shell asks, with the line that is to be completed in COMP_LINE")


def _show(arguments: Sequence[str], overrides: Sequence[str]) -> None:
    """Let Hydra itself answer --help, --cfg, --info and the like."""
    register()
    flags_first = [*(each for each in arguments if each not in overrides), *overrides]  # as Hydra wants them
    with _command_line(flags_first), ends_with_its_reader(), hydra_errors(overrides), naming("the standard output"):
        check_overrides(overrides)
        try:
            hydra.main(str(paths.conf_dir()), CONFIG_NAME, VERSION_BASE)(task)()
        except SystemExit as ended:
            if ended.code:  # else it has shown what it was asked for, which may not have been printed yet
                raise


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Give Hydra's main its arguments, and let errors come out of it instead of ending the process."""
    argv, full, raises = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), logging.raiseExceptions
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = ["nnlab", *arguments], "1"
    logging.raiseExceptions = False  # a line that can't be printed; the last ``flush`` says so
    try:
        yield
    finally:
        sys.argv, logging.raiseExceptions = argv, raises
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


def _refuse(message: str) -> NoReturn:
    raise NnlabError(f"train: {message}; `nnlab train --help` lists the flags")
