"""Resumption of one run from what its directory says of it, and what every resumption looks at first."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab import journal, resuming, runner
from nnlab.build import load
from nnlab.compose import Job
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.journal import Record
from nnlab.mirroring import say_where
from nnlab.one_line import one_line
from nnlab.output import say
from nnlab.progress import Progress
from nnlab.saved_config import load_config, recorded_choices, used_threads
from nnlab.watcher import Outcome


def resume_run(directory: Path, retry_failed: bool, trusted: Collection[str]) -> tuple[Config, Outcome] | None:
    """Go on with a run; see ``resumption.resume``.

    Returns:
        its config and how it ended; None if there was nothing to do.
    """
    with readable(directory):
        record = journal.read(directory)
        tags = record.run.get("tags", {})
        if "nnlab.kind" in tags:
            hint = "`nnlab reproduce` goes on with it" if tags["nnlab.kind"] == "reproduction" else "it has no plan"
            raise NnlabError(f"{directory} is a sweep that can't be gone on with like this: {hint}")
        if record.status == "RUNNING":
            raise NnlabError(
                f"{directory} is still being trained by another process: wait until it has ended, or end it"
            )
        if record.status == "FINISHED":
            say("nothing to do: the run is FINISHED")
            return None
        if record.is_pruned:
            say(f"nothing to do: the run was {one_line(str(record.reason))}")
            return None
        if record.status == "FAILED" and not retry_failed:
            hint = f"nothing to do: the run is FAILED ({record.reason}); --retry-failed trains it again"
            raise NnlabError(one_line(hint), exit_code=1)
        if not can_go_on(record):
            raise NnlabError(f"{directory}: the run was stopped before it began; train it anew")
        config = load_config(directory / "config.yaml", trusted)
        overrides = tuple(map(str, record.run.get("overrides", ())))
        job = Job(config, recorded_choices(record.params, config), overrides, directory)
        check_links(directory)
        check_unchanged(directory, [(config, record.run["dataset"]["hash"])], tags["nnlab.code_version"])
        damage = resuming.damage(directory)
        name, parent, threads = one_line(record.run["name"]), record.run["parent"], used_threads(record.params)
    say_where(config.tracking.enabled)
    say(f"run      {directory}")
    for problem in damage:
        say(f"damaged  {problem}")
    if damage:
        start = resuming.start(directory)
        say(f"damaged  the run goes on from {f'its checkpoint {start.name}' if start else 'the beginning'}")
    try:
        with Progress(name) as progress:
            (outcome,) = runner.run(
                [job], [directory], names=[name], parent=parent, progress=progress, threads=threads, resume=True
            )
    except KeyboardInterrupt:
        say_interrupted(directory)
        raise
    return config, outcome


def can_go_on(record: Record) -> bool:
    """Say whether a run has come so far that there is something to go on with."""
    return bool(record.run) and bool(record.params) and "config.yaml" in record.artifacts


def say_interrupted(directory: Path) -> None:
    """Say what Ctrl-C has left of a run."""
    record = journal.read(directory) if (directory / journal.NAME).exists() else None
    if record is None or not can_go_on(record):
        say("interrupted before the run had begun: there is nothing to go on with")
    elif record.status == "FINISHED":
        say(f"interrupted, but the run is FINISHED: {directory}")
    else:
        say(f"interrupted: the run is kept as {record.status}; go on with: nnlab resume {directory}")


def check_unchanged(directory: Path, data: Iterable[tuple[Config, str | None]], code: str) -> None:
    """Refuse to go on where the numbers would be others than without the stop.

    Args:
        directory: for the message.
        data: configs that are to be trained, with the hash that their data had.
        code: version of the sources that they were begun with.

    Raises:
        NnlabError: code or data are others by now; the text names both.
    """
    hashes = {(config.dataset.model_dump_json(), config.training.dtype): (config, known) for config, known in data}
    if hashes and code != code_version():
        raise NnlabError(
            f"{one_line(str(directory))} was begun with other code (code version {one_line(code[:12])}, now "
            f"{code_version()[:12]}), which may give other numbers: go back to that code, or train it anew"
        )
    for config, known in hashes.values():
        dataset, _ = load(config.dataset, config.training.dtype)
        if known is not None and dataset.data_hash != known:
            raise NnlabError(
                f"{one_line(str(directory))} was begun with other data ({dataset.name} had the hash "
                f"{one_line(known[:12])}, now {dataset.data_hash[:12]}): put them back, or train it anew"
            )


def check_links(directory: Path, inside: Path | None = None) -> None:
    """Refuse a directory with symbolic links out of it: what is written there would be written elsewhere.

    Args:
        directory: to be gone on with, resolved.
        inside: a folder below it, if only that is to be looked at.

    Raises:
        NnlabError: there is one; the text names it.
    """
    with os.scandir(inside or directory) as entries:
        for entry in entries:
            if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(directory):
                raise NnlabError(one_line(f"{entry.path} is a symbolic link that leads out of {directory}: remove it"))
            if entry.is_dir(follow_symlinks=False):
                check_links(directory, Path(entry.path))


@contextmanager
def readable(directory: Path) -> Iterator[None]:
    """Say in one line that a record, which may be somebody else's, is not what nnlab writes."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        shown = f"{directory}: its record is damaged ({type(error).__name__}: {str(error)[:200]!r})"
        raise NnlabError(one_line(shown)) from error
