"""Elsewhere: copies of runs whose own tracker, where they were trained, is bringing them into the store."""

from __future__ import annotations

import time

from mlflow import MlflowClient

from nnlab import journal
from nnlab.journal import Event
from nnlab.tracking import creation

_QUESTION_SECONDS = 0.25  # after one that was answered with no: the server has other work
_SILENCE_SECONDS = 60.0  # without a word from trackers elsewhere before their runs are mirrored from here


class Elsewhere:
    """What is known of the trackers elsewhere: the store alone tells of them."""

    def __init__(self) -> None:
        self._heard = time.monotonic()
        self._next_question = 0.0

    def may_ask(self) -> bool:
        """Say whether it is time to ask the store again."""
        return time.monotonic() >= self._next_question

    def is_silent(self) -> bool:
        """Say whether they have not come forward for so long that nobody should wait for them."""
        return time.monotonic() - self._heard > _SILENCE_SECONDS

    def done(self, client: MlflowClient, header: Event, record: journal.Record) -> str | None:
        """Return MLflow's id of a run if the store has its end, which is what a tracker sends last."""
        found = creation.known(client, header["experiment"], header["run_id"])
        if found is None or (found.info.status, found.info.end_time) != (record.status, record.ended):
            self._next_question = time.monotonic() + _QUESTION_SECONDS
            return None
        self._heard = time.monotonic()
        return str(found.info.run_id)
