"""Plan: how long to train and when to look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How long to train and when to look.

    Attributes:
        epochs: length of the run, of a stack's longest one; the last epoch is cut short where ``updates`` says so.
        updates: length of the run in updates, instead of whole epochs.
        eval_every: epochs between evaluations; epoch 0 and the last are always evaluated.
        log_every_updates: record the batch loss and accuracy of every so many updates; None for none.
        budgets: the epochs of each replica where they differ; all are multiples of ``eval_every`` then.
    """

    epochs: int
    updates: int | None = None
    eval_every: int = 1
    log_every_updates: int | None = None
    budgets: tuple[int, ...] | None = None
