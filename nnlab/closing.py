"""Closing: the last word on runs that did not come to their end."""

from __future__ import annotations

import contextlib
import time
import traceback
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nnlab import pictures
from nnlab.compose import Job
from nnlab.config import params
from nnlab.errors import NnlabError
from nnlab.journal import DIED, NAME, Journal, replay, whole_lines
from nnlab.recorder import Recorder
from nnlab.run_header import run_line

_SECONDS = 5.0  # of an interrupted stack, for what is more than the status of its runs


def kill(recorders: Sequence[Recorder]) -> None:
    """Close runs that were interrupted, at once: whoever sent a signal may soon kill us.

    Args:
        recorders: of a stack.
    """
    deadline = time.monotonic() + _SECONDS
    details: dict[Recorder, str] = {}
    for recorder in recorders:
        if time.monotonic() > deadline:
            recorder.checkpoints.give_up()
            continue
        try:
            recorder.checkpoints.save_best()
            if len(recorders) == 1:  # nobody who presses Ctrl-C waits for the pictures of a whole stack
                pictures.draw_curves(recorder)
        except Exception:  # the run is as it would be after a kill; the others are still to be closed
            details[recorder] = traceback.format_exc()
    for recorder in recorders:
        recorder.close("KILLED", "interrupted", details.get(recorder))


def kill_beginning(directories: Iterable[Path]) -> None:
    """Close runs that were interrupted while their recorders were being made.

    Args:
        directories: of them; one that has not begun, or has its last word already, is left as it is.
    """
    for directory in directories:
        path = directory / NAME
        with contextlib.suppress(NnlabError, OSError):  # it is as it would be after a kill
            if path.is_file() and whole_lines(path):
                log = Journal(directory)
                if replay(directory).reason == DIED:
                    log.close("KILLED", "interrupted")
                else:
                    log.release()


def record_failure(
    job: Job,
    directory: Path,
    name: str,
    parent: str | None,
    threads: int,
    reason: str,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> None:
    """Close a run without a recorder; one that has no record yet gets its name and its parameters first.

    Args:
        job: that could not be done.
        directory: of the run.
        name: of the run, for people.
        parent: run id of the sweep.
        threads: BLAS threads that it was to have.
        reason: why it failed.
        tags: further ones, name -> text.
        run_id: of it, if it has not begun; by default a new one.

    Raises:
        NnlabError: another process is at it, or its record is damaged.
        OSError: the file system refuses.
    """
    log = Journal(directory)
    try:
        known = replay(directory)
        if not known.run:
            own = {**(tags or {}), "seed": str(job.config.seed)}
            log.write("run", **run_line(job, name, parent, run_id or uuid.uuid4().hex, threads, own))
        if not known.params:
            log.write("params", params=params(job.config, job.choices))
    except BaseException:
        log.release()
        raise
    log.close("FAILED", reason)
