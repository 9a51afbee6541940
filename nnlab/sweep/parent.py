"""Parent: the journal of a sweep as a whole, in its own directory; in MLflow the parent run of its jobs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nnlab import environment, paths
from nnlab.config import Config
from nnlab.journal import Journal, read
from nnlab.output import say
from nnlab.tracking import follower


def open_parent(
    directory: Path,
    config: Config,
    *,
    kind: str,
    name: str,
    overrides: Sequence[str],
    swept: Sequence[str],
    jobs: int,
    params: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
) -> Journal:
    """Open a sweep's journal, and give a new one its first lines; it stays open, and so locked, while it is at work.

    Args:
        directory: of the sweep.
        config: of one of its jobs, which says where and how they are tracked.
        kind: ``sweep`` or ``reproduction``, the tag ``nnlab.kind``.
        name: for people.
        overrides: that its jobs have in common, or as they were given.
        swept: the keys that differ between them.
        jobs: how many.
        params: of the parent run.
        tags: further ones of it.

    Raises:
        NnlabError: another process has it open.
    """
    tracking, run_id = config.tracking, uuid.uuid4().hex
    journal = Journal(directory)
    try:
        there = read(directory)  # a killed process may have left the first line alone
        if there.run:
            # With this line its old status, whichever it was, stands no longer.
            journal.write("tags", tags={"nnlab.resumed": f"{datetime.now():%Y-%m-%d %H:%M:%S}"})
        else:
            journal.write(
                "run",
                run_id=run_id,
                name=name,
                experiment=config.experiment_name,
                parent=None,
                user=environment.user(),
                tracking={"max_points": tracking.max_points} if tracking.enabled else None,
                environment=environment.facts(),
                overrides=list(overrides),
                swept=list(swept),
                jobs=jobs,
                tags={**(tags or {}), "nnlab.kind": kind, "nnlab.sweep": run_id, **environment.git_tags()},
            )
        if not there.params:
            journal.write("params", params=dict(params))
        if tracking.enabled:
            _track(directory)
    except KeyboardInterrupt:
        journal.close("KILLED", "interrupted")
        raise
    except BaseException:  # in a notebook the lock would stay
        journal.release()
        raise
    return journal


def _track(directory: Path) -> None:
    """See to it that there is a tracker; one that can't be started now is no reason not to train."""
    try:
        follower.ensure(paths.outputs_dir(), [directory])
    except OSError as error:
        say(f"no tracker could be started ({error}): `nnlab sync` brings the sweep into MLflow")
