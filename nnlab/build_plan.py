"""Building the plan: how long a stack trains, its schedules, and what ends it early."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nnlab.config import Config
from nnlab.errors import NnlabError
from nnlab.optim import ReduceOnPlateau, Schedule, per_epoch, warmup
from nnlab.training import EarlyStopping, Plan


def build_plan(configs: Sequence[Config], steps_per_epoch: int) -> Plan:
    """Return how long to train a stack and when to look."""
    training = configs[0].training
    epochs = [_epochs(config, steps_per_epoch) for config in configs]
    budgets = tuple(epochs) if min(epochs) < max(epochs) else None
    return Plan(max(epochs), training.updates, training.eval_every, training.log_every_updates, budgets)


def _epochs(config: Config, steps_per_epoch: int) -> int:
    training = config.training
    return training.epochs if training.updates is None else -(-training.updates // steps_per_epoch)


def build_schedules(
    configs: Sequence[Config], steps_per_epoch: int, metrics: Sequence[str]
) -> tuple[list[Schedule], dict[int, ReduceOnPlateau]]:
    """Return each replica's schedule, update -> multiplier, and by replica those that depend on a metric.

    Args:
        configs: one a replica; equal schedules without state are one object.
        steps_per_epoch: updates.
        metrics: that a schedule may watch.

    Raises:
        NnlabError: a schedule refuses, its warm-up is too long, or it watches a metric that there is not.
    """
    schedules, plateaus, shared = list[Schedule](), dict[int, ReduceOnPlateau](), dict[str, Schedule]()
    for replica, config in enumerate(configs):
        epochs = _epochs(config, steps_per_epoch)
        key = json.dumps([config.schedule.model_dump(), epochs], sort_keys=True)
        if key not in shared:
            inner, schedule = _schedule(config, epochs, steps_per_epoch)
            if isinstance(inner, ReduceOnPlateau):
                _check_monitor("schedule.monitor", inner.monitor, metrics)
                plateaus[replica] = inner
            else:
                shared[key] = schedule
        schedules.append(shared.get(key, schedule))
    return schedules, plateaus


def _schedule(config: Config, epochs: int, steps_per_epoch: int) -> tuple[Any, Schedule]:
    """Return the schedule itself, and as update -> multiplier with its warm-up."""
    chosen = config.schedule
    is_per_update = chosen.per == "update"
    total = (config.training.updates or epochs * steps_per_epoch) if is_per_update else epochs
    if chosen.warmup > total:
        raise NnlabError(f"schedule.warmup={chosen.warmup} is longer than the run: {total} {chosen.per}s in all")
    inner = chosen.build("schedule", max(1, total - chosen.warmup))
    schedule: Schedule = warmup(inner, warmup=chosen.warmup, start=chosen.start) if chosen.warmup else inner
    return inner, schedule if is_per_update else per_epoch(schedule, steps_per_epoch)


def build_early_stopping(config: Config, replicas: int, metrics: Sequence[str]) -> EarlyStopping | None:
    """Return what ends the replicas early; None if nothing does.

    Raises:
        NnlabError: it watches a metric that there is not.
    """
    chosen = config.training.early_stopping
    if chosen.patience is None:
        return None
    _check_monitor("training.early_stopping.monitor", chosen.monitor, metrics)
    return EarlyStopping(replicas, patience=chosen.patience, monitor=chosen.monitor, min_delta=chosen.min_delta)


def watchable_metrics(config: Config, parts: Mapping[str, object]) -> list[str]:
    """Return the metrics that training may depend on, diagnostics apart: not the test part's nor the clock's."""
    of_parts = [f"{part}/{kind}" for part in parts if part != "test" for kind in ("loss", "accuracy")]
    return [*of_parts, *(["penalty"] if config.loss.l1 or config.loss.l2 else [])]


def _check_monitor(where: str, monitor: str, metrics: Sequence[str]) -> None:
    if monitor in metrics:
        return
    reason = "training must not depend on the test part" if monitor.startswith("test/") else "this run has none such"
    raise NnlabError(f"{where}={monitor}: {reason}; choose from {', '.join(metrics)}")
