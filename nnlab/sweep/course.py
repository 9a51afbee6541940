"""Course: a sweep from its opened record to its answer, when it is begun and when it is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nnlab import index, journal
from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.index import Entry
from nnlab.journal import Journal
from nnlab.mirroring import wait_until_mirrored
from nnlab.output import say
from nnlab.signals import interruptible
from nnlab.sweep import tables
from nnlab.sweep.parent import open_parent
from nnlab.sweep.plan import Sweep
from nnlab.tracking.limits import MAX_TAG

Conclude = Callable[[Sweep, dict[int, Entry], Journal], str | None]


@interruptible()
def run(sweep: Sweep, train: Callable[[str], Sweep | None], conclude: Conclude | None = None) -> None:
    """Let a sweep's jobs be trained, conclude from them, close its record, and wait until all is in MLflow.

    Args:
        sweep: as it is frozen.
        train: trains what is missing of it; takes the run id of the parent, and returns the sweep if it has grown.
        conclude: says what it comes to, and returns why it failed, if it did.

    Raises:
        NnlabError: some jobs failed, which has been told then; or another process is at the sweep.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, when all records are closed.
    """
    parent = _open(sweep)
    try:
        sweep = train(journal.read(sweep.directory).run["run_id"]) or sweep
        found = entries(sweep)
        reason = (conclude or _conclude)(sweep, found, parent)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            parent.close("KILLED", "interrupted")
            say(f"interrupted: finished runs stand; go on with: nnlab resume {sweep.directory}")
        else:
            parent.close("FAILED", str(error) if isinstance(error, NnlabError) else f"{type(error).__name__}: {error}")
        raise
    parent.close("FAILED" if reason else "FINISHED", reason)
    wait(sweep, found)
    if reason:
        which = "the others are" if conclude is None else "all is"
        raise NnlabError(f"{reason}; {which} recorded in {sweep.directory}", exit_code=1)


def wait(sweep: Sweep, found: Mapping[int, Entry]) -> None:
    """Wait until a sweep that has ended is in MLflow.

    Args:
        sweep: as it is frozen.
        found: its runs, by the numbers of their jobs.
    """
    tracking = config(sweep).tracking
    tracked = [entry.directory for entry in found.values() if entry.run.get("tracking")]
    wait_until_mirrored(tracking.enabled, [sweep.directory, *tracked], tracking.wait_seconds)


def entries(sweep: Sweep) -> dict[int, Entry]:
    """Return the runs of a sweep that have a record, by the numbers of their jobs.

    Raises:
        NnlabError: a journal is damaged.
    """
    runs = {each.number: each.stands or each.job.directory for each in sweep.planned if each.job is not None}
    there = {number: directory for number, directory in runs.items() if _has_run(directory)}
    return dict(zip(there, index.entries(list(there.values())), strict=True))


def _conclude(sweep: Sweep, found: dict[int, Entry], parent: Journal) -> str | None:
    """Say how the jobs ended and what they come to, and return why the sweep failed, if it did."""
    from nnlab.sweep import answer  # pandas takes half a second to import
    from nnlab.tables import print_comparison

    tables.print_jobs(sweep.planned, found)
    directories = [entry.directory for entry in found.values()]
    if (result := answer.conclude(sweep.directory, directories, parent, sweep.swept)) is not None:
        print_comparison(result)
    finished = sum(entry.status == "FINISHED" for entry in found.values())
    failed = len(sweep.planned) - finished
    return f"{failed} of {len(sweep.planned)} jobs failed" if failed else None


def _open(sweep: Sweep) -> Journal:
    refused = "; ".join(f"job {each.number} ({each.name}): {each.problem}" for each in sweep.planned if each.problem)
    stand = {each.number: each.stands for each in sweep.planned if each.stands is not None and _has_run(each.stands)}
    asked: dict[str, Any] = {
        "sweep.overrides": " ".join(sweep.given),
        "sweep.jobs": len(sweep.planned),
        "sweep.refused": refused[:MAX_TAG] or None,
    }
    if stand:
        asked["sweep.finished_before"] = len(stand)
    jobs, what = len(sweep.planned), " x ".join(sweep.swept) or "sweep"
    name = f"{what}: {jobs} runs"
    if (search := sweep.search) is not None:
        jobs, name = search.settings.n_trials * search.settings.seeds, f"{what}: {search.settings.n_trials} trials"
        asked |= {f"search.{key}": value for key, value in search.settings.model_dump().items()}
        asked |= {"sweep.jobs": jobs, "search.space": " ".join(search.space)}
    return open_parent(
        sweep.directory,
        config(sweep),
        kind="sweep",
        name=name,
        overrides=sweep.given,
        swept=sweep.swept,
        jobs=jobs,
        params=asked,
        tags={"nnlab.refers_to": _referred(stand)} if stand else {},
    )


def _has_run(directory: Path) -> bool:
    return (directory / journal.NAME).is_file()


def _referred(stand: dict[int, Path]) -> str:
    """Return which job is which run elsewhere, by nnlab's run ids, as far as a tag can hold it."""
    found = index.entries(list(stand.values()))
    each = [f"{number}={entry.run['run_id']}" for number, entry in zip(stand, found, strict=True)]
    kept = " ".join(each)
    return kept if len(kept) <= MAX_TAG else f"{kept[: kept.rindex(' ', 0, MAX_TAG)]} ..."


def config(sweep: Sweep) -> Config:
    """Return the config of its first job that can run, which says how the sweep is tracked."""
    jobs = sweep.planned if sweep.search is None else sweep.search.bases
    return next(each.job.config for each in jobs if each.job is not None)
