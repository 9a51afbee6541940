"""Attempts: the runs that a sweep's directory already has, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnlab import environment, journal
from nnlab.build import load
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.journal import NAME, Record
from nnlab.output import say

_DECIDING = ("python", "packages", "system", "cpu", "blas")
"""Facts of a run that must be today's for it to count."""


def by_seed(sweep: Path, todo: Sequence[Job]) -> dict[int, Record]:
    """Return the record of each seed that was trained as it would be now: one that has finished, else the newest.

    Args:
        sweep: directory; its runs' are in it.
        todo: one job a seed.

    Raises:
        NnlabError: one of them is still being trained, by a process that an interrupted session has left.
    """
    config = todo[0].config
    data_hash = load(config.dataset, config.training.dtype)[0].data_hash
    facts = environment.facts()
    with environment.blas_threads(config.training.blas_threads) as threads:
        wanted = {job.config.config_hash(threads): job.config.seed for job in todo}
    found: dict[int, Record] = {}
    for record in sorted(_readable(sweep), key=lambda record: int(record.run.get("timestamp", 0))):
        if record.status == "RUNNING":
            raise NnlabError(
                f"{record.directory} is still being trained by another process: wait until it has ended, or end it"
            )
        tags = record.run.get("tags", {})
        seed = wanted.get(tags.get("nnlab.config_hash"))
        if (
            seed is not None
            and tags.get("nnlab.code_version") == code_version()
            and record.run["dataset"]["hash"] == data_hash
            and all(record.run["environment"].get(key) == facts[key] for key in _DECIDING)
            and not has_finished(found.get(seed))
        ):
            found[seed] = record
    return found


def has_finished(record: Record | None) -> bool:
    """Say whether there is a run, and it came to its end."""
    return record is not None and record.status == "FINISHED"


def unused(sweep: Path, seed: int) -> Path:
    """Return the directory of a seed's next attempt: ``7``, and once that was interrupted ``7.1``."""
    attempts = (f"{seed}.{attempt}" if attempt else str(seed) for attempt in range(10_000))
    return next(sweep / name for name in attempts if not (sweep / name).exists())


def _readable(sweep: Path) -> list[Record]:
    records = []
    for path in sweep.glob(f"*/{NAME}"):
        try:
            records.append(journal.read(path.parent))
        except NnlabError as error:  # it can't count, and its seed is trained anew beside it
            say(f"not counted: {error}")
    return records
