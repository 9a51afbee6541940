"""Finished: runs in the outputs root that a sweep would only do again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnlab import checkpoint, index
from nnlab.address import address
from nnlab.errors import NnlabError
from nnlab.sweep.plan import Planned
from nnlab.tracking import runs

TAG = "nnlab.address"


def refer(planned: Sequence[Planned], outputs: Path) -> list[Planned]:
    """Return the jobs, those that stand already with the directory of the finished run that is the same.

    A run whose last checkpoint is damaged doesn't count.

    Args:
        planned: the jobs, which are to have one BLAS thread where their config leaves it open.
        outputs: where to look.
    """
    known = find(outputs)
    referred = []
    for each in planned:
        stands = None
        if each.job is not None and each.data_hash is not None:
            config = each.job.config
            same = known.get(address(config, config.training.blas_threads or 1, each.data_hash), [])
            stands = next(filter(_is_whole, same), None)
        referred.append(replace(each, stands=stands))
    return referred


def find(outputs: Path) -> dict[str, list[Path]]:
    """Return the directories of the finished runs by their addresses, the oldest first."""
    found: dict[str, list[Path]] = {}
    entries, _ = index.readable(runs.find(outputs))  # one whose journal is damaged can't count
    for entry in entries:
        if entry.status == "FINISHED" and TAG in entry.tags:
            found.setdefault(entry.tags[TAG], []).append(entry.directory)
    return found


def _is_whole(directory: Path) -> bool:
    try:
        return checkpoint.problems(checkpoint.find(directory)) is None
    except NnlabError:
        return False
