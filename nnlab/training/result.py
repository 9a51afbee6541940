"""EpochResult: what one epoch of a stack gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Update(NamedTuple):
    """One recorded update: its number from 0 and the batch's loss and accuracy before it, ``[replicas]``."""

    step: int
    loss: Values
    accuracy: Values


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Attributes:
        epoch: 0 is the network before training.
        step: updates done so far.
        metrics: name -> one value a replica, ``[replicas]``. ``train/*`` are running means over the epoch's batches,
            each before its update (``train/objective`` is ``train/loss`` with the penalty, where there is one);
            ``val/*``, ``test/*`` and ``penalty`` are exact; times are in seconds, of the whole stack.
        failed: replica -> what became NaN or Inf in this epoch, for replicas that had been fine until then.
        stopped: replica -> why early stopping ends it with this epoch.
        ended: replicas whose planned last epoch this is.
        improved: replicas whose monitored metric has not been better before; early stopping restores the last such
            epoch.
        updates: see ``Plan.log_every_updates``.
    """

    epoch: int
    step: int
    metrics: dict[str, Values]
    failed: dict[int, str] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)
    ended: frozenset[int] = frozenset()
    improved: frozenset[int] = frozenset()
    updates: list[Update] = field(default_factory=list)
