"""Rerun: a past run done again from its saved configuration, compared with what it was, and linked to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nnlab import checkpoint, compose, environment, journal, paths, runner
from nnlab.build import build
from nnlab.compose import Job
from nnlab.config import Config
from nnlab.errors import NnlabError, naming
from nnlab.one_line import one_line
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.reproduction import circumstances, lookup, past
from nnlab.reproduction.circumstances import Changed
from nnlab.reproduction.difference import compare_checkpoints, compare_numbers
from nnlab.reproduction.past import Past
from nnlab.reproduction.predictions import changed_predictions, load_checkpoint
from nnlab.reproduction.run_report import RunRef, RunReport, judge, print_report, to_json
from nnlab.saved_config import load_config, recorded_choices, used_threads
from nnlab.tracking import runs, store

__all__ = ["print_report", "reproduce_run", "to_json"]

FILE = "reproduction.json"


def reproduce_run(
    what: str, *, rtol: float = 1e-5, trusted: Collection[str] = (), report: Callable[[str], None] = say
) -> RunReport:
    """Train a past run again from its saved config, as a run of its own, and compare the two.

    The new run carries the tags ``nnlab.reproduces`` and ``nnlab.verdict`` and the report as ``reproduction.json``; an
    old run in our outputs root gets the tag ``nnlab.reproduced_by``.

    Args:
        what: a run's directory, or its id, MLflow's or nnlab's.
        rtol: relative tolerance for losses, see ``judge``.
        trusted: targets that the saved config may name besides those that nnlab ships.
        report: takes a line; the progress of training is shown besides.

    Raises:
        NnlabError: there is no such run, it has not ended, its config is refused, the data is not what it was, or what
            it takes is gone.
        KeyboardInterrupt: on Ctrl-C, when the new run's record is closed.
    """
    if not 0 <= rtol < 1:
        raise NnlabError(f"rtol={rtol:g}: it should be at least 0 and below 1")
    with TemporaryDirectory(prefix="nnlab-") as folder:
        old = lookup.find(what, Path(folder))
        config, config_hash, notes = _config(old, trusted, Path(folder))
        directory = paths.outputs_dir() / "runs" / compose.stamp()
        job = Job(config, recorded_choices(old.params, config), old.overrides, directory)
        _check(job, old)
        with environment.blas_threads(config.training.blas_threads) as threads:
            now = circumstances.current(threads)
        changed = circumstances.changed(old.circumstances, now)
        if old.config_hash not in (None, config_hash):
            changed.append(Changed("config.yaml", old.config_hash, config_hash))
        unknown = circumstances.unknown(old.circumstances, now)
        notes += _remarks(old, changed)
        if threads > (cores := environment.facts()["cores"]):
            notes.append(f"{threads} BLAS threads, as then, on {cores} cores, which is slow")
        _announce(job, old, changed, unknown, report)
        new = _train(job, old, report)
        numbers, checkpoints = compare_numbers(old, new, rtol), compare_checkpoints(old, new)
        predictions = []
        if old.final_epoch is not None and new.final_epoch is not None and not checkpoints.final_equal:
            predictions = changed_predictions(config, old.folder(old.final_epoch), new.folder(new.final_epoch))
        if numbers.added:
            notes.append(f"not recorded then, so not compared: {', '.join(numbers.added)}")
        is_linked = _link(old, new, notes)
        found = RunReport(
            verdict=judge(old, new, numbers, checkpoints, predictions, rtol),
            rtol=rtol,
            old=RunRef.of(old),
            new=RunRef.of(new),
            changed=changed,
            unknown=unknown,
            notes=notes,
            numbers=numbers,
            checkpoints=checkpoints,
            predictions=predictions,
        )
        text = json.dumps(to_json(found), indent=2, allow_nan=False)
        with naming(new.directory / FILE):
            (new.directory / FILE).write_text(f"{text}\n", encoding="utf-8")
        journal.annotate(new.directory, {"nnlab.verdict": found.verdict.value}, [FILE])
        tracked = [new.directory, *([old.directory] if is_linked and old.is_tracked else [])]
        return replace(found, tracked=tracked if new.is_tracked else [], wait_seconds=config.tracking.wait_seconds)


def _config(old: Past, trusted: Collection[str], folder: Path) -> tuple[Config, str, list[str]]:
    """Return the saved config with what the old run used, its hash, and what was put in place of something gone."""
    try:
        config = load_config(old.directory / "config.yaml", trusted)
    except NnlabError as error:
        made = f"; the run was made by commit {old.commit}" if old.commit else ""
        raise NnlabError(f"{error}{made}") from error
    threads = used_threads({"training.blas_threads": config.training.blas_threads, **old.params})
    if threads is None:
        raise NnlabError(f"{old.shown}: it is not recorded how many BLAS threads it had")
    training = config.training.model_copy(update={"blas_threads": threads})
    config = config.model_copy(update={"training": training})
    config_hash = config.config_hash(threads)
    given = config.initializer.from_
    if given is None or Path(given).expanduser().is_dir():
        return config, config_hash, []
    if not old.is_local and old.mlflow_run_id is not None and 0 in old.manifests:
        from nnlab.tracking.fetch import download_initial  # MLflow takes 2 s to import

        outputs = paths.outputs_dir()
        download_initial(outputs, store.uri(outputs), old.mlflow_run_id, folder)
    if 0 not in old.manifests:
        raise NnlabError(f"initializer.from={given!r} is gone, and the run has no checkpoint of epoch 0")
    initializer = config.initializer.model_copy(update={"from_": str(old.folder(0))})
    note = f"initializer.from={given} is gone: the checkpoint of epoch 0 has the same numbers and was used instead"
    return config.model_copy(update={"initializer": initializer}), config_hash, [note]


def _check(job: Job, old: Past) -> None:
    """Refuse what can't be trained, other data, and a final checkpoint that is damaged or of something else."""
    runner.check(job)
    stack = build([job.config])
    if old.data_hash is not None and old.data_hash != stack.dataset.data_hash:
        raise NnlabError(
            f"{stack.dataset.name} is not the data it was: data hash {str(old.data_hash)[:12]} then, "
            f"{stack.dataset.data_hash[:12]} now; on other data nothing can be reproduced"
        )
    for epoch in old.manifests if old.is_local else ():
        checkpoint.read(old.folder(epoch))  # what is damaged can't be compared
    if old.final_epoch is not None:
        load_checkpoint(stack, old.folder(old.final_epoch))


def _remarks(old: Past, changed: list[Changed]) -> list[str]:
    """Return what is particular about the old run."""
    remarks = []
    if old.was_cut_short:
        remarks.append(f"it was {old.status} after epoch {old.last} ({old.reason}); compared up to there")
    elif old.final_epoch is None and not old.has_diverged:
        remarks.append("its final checkpoint is not there, so its bytes can't be compared")
    if old.commit and any(each.what == "code" for each in changed):
        remarks.append(f"its code is that of commit {old.commit}")
    if old.data_hash is None:
        remarks.append("the hash of its data is not known, so the data may be other")
    return remarks


def _announce(job: Job, old: Past, changed: list[Changed], unknown: list[str], report: Callable[[str], None]) -> None:
    lines = [
        f"old run  {old.shown}  {old.name}  {old.status}",
        f"new run  {job.directory}",
        *(f"differs  {each}" for each in changed),
        *([f"unknown  not recorded then: {', '.join(unknown)}"] if unknown else []),
    ]
    for line in lines:
        report(one_line(line))


def _train(job: Job, old: Past, report: Callable[[str], None]) -> Past:
    tags = {"nnlab.reproduces": old.run_id}
    if old.mlflow_run_id is not None:
        tags["nnlab.reproduces_mlflow"] = old.mlflow_run_id
    try:
        with Progress(one_line(old.name)) as progress:
            runner.run([job], [job.directory], names=[old.name], tags=tags, progress=progress)
    except KeyboardInterrupt:
        report(f"interrupted: the new run is kept as KILLED in {job.directory}")
        raise
    return past.of_directory(job.directory)


def _link(old: Past, new: Past, notes: list[str]) -> bool:
    """Tag the old run with the new one, if it is one of ours; say so if not."""
    if not old.is_local:
        return False
    if old.directory not in runs.find(paths.outputs_dir()):
        notes.append("the old run is not in the outputs root: it gets no tag that names the new one")
        return False
    try:
        journal.annotate(old.directory, {"nnlab.reproduced_by": new.run_id})
    except (OSError, NnlabError) as error:
        notes.append(f"the old run could not be given a tag that names the new one: {error}")
        return False
    return True
