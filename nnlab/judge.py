"""Judge: whoever ends runs before their time, because others of their sweep promise more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Judge(Protocol):
    """Is asked by the process that trains, between epochs; it is sent there by pickling.

    A judge looks at several runs at once, so the runs of a call of ``runner.run`` are trained as one stack.
    """

    @property
    def metric(self) -> str:
        """Name of the metric that is looked at."""

    def begin(self, directories: Sequence[Path], after: int | None) -> None:
        """Take the runs of a stack that begins, or goes on after an epoch; their journals say what was before."""

    def epoch(self, epoch: int, values: Mapping[Path, float]) -> Mapping[Path, str]:
        """Take an evaluated epoch.

        Args:
            epoch: its number.
            values: directory of a run -> its metric, NaN if the run failed; without those that ended before.

        Returns:
            directory -> reason, of runs that are to end now.
        """
