"""Recorded training: the loop with each replica's record beside it, from epoch 0 to the closed run."""

from __future__ import annotations

import functools
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnlab import pictures, snapshot
from nnlab.build import Stack, build
from nnlab.errors import describe
from nnlab.journal import PRUNED, Status
from nnlab.judge import Judge
from nnlab.recorder import Recorder
from nnlab.training import EpochResult, evaluate, nonfinite, train
from nnlab.watcher import Outcome, Watcher

AUTO_SECONDS = 30.0
"""``checkpoint.every=auto``: the time between two checkpoints."""

_WORTH_LEAVING = 0.75
"""A stack is made smaller once so few of its runs are left."""


class RecordedTraining:
    """Trains a stack of runs and records each, until all have ended.

    A run that has ended is closed at once. When enough have, the others go on in a smaller stack: a run's numbers don't
    depend on its stack.

    Args:
        stack: to be trained, its runs restored if they are gone on with.
        recorders: one a replica.
        watcher: is told.
        after: epoch and update that the runs are gone on from; None from the beginning.
        judge: may end runs before their time.
    """

    def __init__(
        self,
        stack: Stack,
        recorders: Sequence[Recorder],
        watcher: Watcher | None,
        after: tuple[int, int] | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.stack, self.watcher, self.after, self.judge = stack, watcher, after, judge
        self.recorders = dict(enumerate(recorders))
        """Replica -> the recorder of a run that has not ended."""
        self.outcomes: dict[Recorder, Outcome] = {}
        self._last_checkpoint = self._started = time.monotonic()

    def train(self) -> None:
        """Train until every run has an outcome."""
        if self.judge:
            self.judge.begin([each.directory for each in self.recorders.values()], self.after and self.after[0])
        if self.after is not None:  # perhaps killed while it was being closed, with nothing left to train
            early = self.stack.early_stopping
            stopped = {r: early.reason(r) for r in np.flatnonzero(early.has_ended).tolist()} if early else {}
            over = [r for r in self.recorders if r in stopped or self.after[0] >= self._budget(r)]
            self._end(over, stopped)
        while self.recorders:
            for result in self._epochs():
                self._epoch(result)
                if len(self.recorders) <= _WORTH_LEAVING * len(self.stack.configs):
                    if self.recorders:
                        self._shrink(result)
                    break

    def _epochs(self) -> Iterator[EpochResult]:
        stack = self.stack
        return train(
            stack.network,
            stack.loss,
            stack.optimizer,
            stack.schedules,
            stack.batches,
            stack.plan,
            {name: part for name, part in stack.parts.items() if name != "train"},
            penalty=stack.penalty,
            early_stopping=stack.early_stopping,
            diagnostics=stack.diagnostics,
            listeners=stack.listeners(),
            after=self.after,
        )

    def _epoch(self, result: EpochResult) -> None:
        is_auto_due = time.monotonic() - self._last_checkpoint > AUTO_SECONDS
        runs = len(self.recorders)
        values = self._judged(result)
        ends = []
        for replica, recorder in list(self.recorders.items()):
            if replica in result.failed:
                record = functools.partial(self._record_failure, recorder, result, replica)
                if self._guarded(replica, record):
                    self._close(replica, "FAILED", f"epoch {result.epoch}: NaN or Inf in {result.failed[replica]}")
                continue
            is_end = replica in result.stopped or replica in result.ended
            take = functools.partial(snapshot.take, self.stack, replica, result)
            record = functools.partial(recorder.epoch, result, replica, take, is_end=is_end, is_auto_due=is_auto_due)
            if self._guarded(replica, record) and is_end:
                ends.append(replica)
        if is_auto_due:
            self._last_checkpoint = time.monotonic()
        if self.watcher:
            self.watcher.epoch(result, self.stack.plan.epochs, runs)
        self._end(ends, result.stopped)
        if self.judge and values:
            self._prune(self.judge.epoch(result.epoch, values))

    def _judged(self, result: EpochResult) -> dict[Path, float]:
        """Return what the judge looks at, of each run in training; failures alone where nothing is evaluated."""
        if self.judge is None:
            return {}
        failed = {self.recorders[replica].directory: math.nan for replica in result.failed if replica in self.recorders}
        if (of_stack := result.metrics.get(self.judge.metric)) is None:
            return failed
        return {each.directory: float(of_stack[replica]) for replica, each in self.recorders.items()} | failed

    def _prune(self, reasons: Mapping[Path, str]) -> None:
        """Close the runs that the judge ends, with what is on the disk of them; those that have ended stand."""
        for replica, recorder in list(self.recorders.items()):
            reason = reasons.get(recorder.directory)
            if reason is not None:
                self._close(replica, "KILLED", reason, tags={PRUNED: str(recorder.last_epoch)})

    def _record_failure(self, recorder: Recorder, result: EpochResult, replica: int) -> None:
        """Record the epoch in which a run became NaN or Inf, and what it was before."""
        recorder.epoch(result, replica, functools.partial(snapshot.take, self.stack, replica, result), is_failed=True)
        self._save_best(recorder)

    def _save_best(self, recorder: Recorder) -> None:
        """Keep what a run was before it failed."""
        recorder.checkpoints.save_best()
        pictures.draw_curves(recorder)

    def _end(self, replicas: Sequence[int], stopped: dict[int, str]) -> None:
        """Finish and close runs whose training is over."""
        if not replicas:
            return
        for replica in replicas:  # of a run that has ended, what happens to its replica means nothing
            snapshot.load_network(self.stack, replica, self.recorders[replica].checkpoints.end)
        final = _final_metrics(self.stack)
        for replica in replicas:
            values = {name: float(of_stack[replica]) for name, of_stack in final.items()}
            reason = None
            if replica in stopped:
                reason = f"stopped after epoch {self.recorders[replica].last_epoch}: {stopped[replica]}"
            what = nonfinite(values, self.stack.network, replica)
            if what and self._guarded(replica, functools.partial(self._save_best, self.recorders[replica])):
                last = self.recorders[replica].checkpoints.end.epoch
                self._close(replica, "FAILED", f"epoch {last}: NaN or Inf in {what}")
            elif not what and self._guarded(replica, functools.partial(self._finish, replica, values, reason)):
                self._close(replica, "FINISHED", reason)

    def _finish(self, replica: int, values: dict[str, float], reason: str | None) -> None:
        recorder = self.recorders[replica]
        kept = recorder.checkpoints
        recorder.finish(values)
        seconds = time.monotonic() - self._started
        if reason:
            recorder.log(reason)
        pictures.draw_curves(recorder)  # while the checkpoint is being written
        when = f"best epoch ({kept.end.epoch})" if kept.is_restored else "last epoch"
        pictures.draw_predictions(recorder, self.stack, replica, when)
        recorder.wait()
        share = 100 * recorder.recording_seconds / max(seconds, 1e-9)
        recorder.log(f"trained in {seconds:.2f} s, {share:.2f} % of it spent in recording")

    def _budget(self, replica: int) -> int:
        plan = self.stack.plan
        return plan.budgets[replica] if plan.budgets else plan.epochs

    def _guarded(self, replica: int, action: Callable[[], object]) -> bool:
        """Do what concerns one run only; if it goes wrong, that run fails and the others go on."""
        try:
            action()
        except Exception as error:
            self._close(replica, "FAILED", describe(error), traceback.format_exc())
            return False
        return True

    def _close(
        self,
        replica: int,
        status: Status,
        reason: str | None,
        details: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        recorder = self.recorders.pop(replica)
        # A stopped run's reason is for the terminal: it has come to its end.
        recorded = recorder.close(status, None if status == "FINISHED" else reason, details, tags)
        outcome = self.outcomes[recorder] = recorded if recorded.status == "FAILED" else Outcome(status, reason)
        if self.watcher:
            self.watcher.ended(recorder.directory, outcome, self._budget(replica) - recorder.last_epoch)

    def _shrink(self, result: EpochResult) -> None:
        """Let the runs that are left go on in a stack of their own."""
        left = list(self.recorders)
        smaller = build([self.stack.configs[replica] for replica in left])
        for place, replica in enumerate(left):
            snapshot.restore(smaller, place, snapshot.take(self.stack, replica, result))
        self.recorders = {place: self.recorders[replica] for place, replica in enumerate(left)}
        self.stack, self.after = smaller, (result.epoch, result.step)


def _final_metrics(stack: Stack) -> dict[str, NDArray[np.float64]]:
    """Evaluate every part exactly, the training part too."""
    metrics = {}
    for name, part in stack.parts.items():
        metrics[f"final/{name}_loss"], metrics[f"final/{name}_accuracy"] = evaluate(stack.network, stack.loss, part)
    if stack.penalty:
        metrics["final/penalty"] = stack.penalty.forward()
    return metrics
