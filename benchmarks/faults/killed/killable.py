"""Killable: runs and sweeps of a second or two that have everything in them that a resumption must put back."""

from __future__ import annotations

_DEEP = ["architecture.hidden_sizes=[7,5]", "architecture.dropout=0.2", "architecture.batch_norm=true"]
_WINE = [*_DEEP, "dataset=wine"]

RUNS: dict[str, list[str]] = {
    "momentum": [
        *(*_WINE, "optimizer.momentum=0.9", "optimizer.weight_decay=0.01", "training.epochs=300"),
        "checkpoint.every=5",
    ],
    "adam on a plateau, every checkpoint kept": [
        *(*_WINE, "optimizer=adam", "schedule=reduce_on_plateau", "schedule.patience=2", "training.epochs=120"),
        *("checkpoint.every=1", "checkpoint.keep=all"),
    ],
    "early stopping": [
        *(*_WINE, "optimizer.lr=0.5", "training.epochs=2000", "checkpoint.every=5"),
        *("training.early_stopping.patience=120", "training.early_stopping.monitor=val/loss"),
    ],
    "no checkpoint but the first": [*_WINE, "optimizer.momentum=0.9", "training.epochs=500", "checkpoint.every=null"],
    "checkpoints by the clock": [*_WINE, "optimizer=rmsprop", "training.epochs=500", "checkpoint.every=auto"],
    "batches that wrap, in float64": [
        *(*_WINE, "training.batching=wrap", "training.batch_size=30", "training.dtype=float64", "loss.l2=0.01"),
        *("optimizer.momentum=0.9", "optimizer.nesterov=true", "training.epochs=300", "checkpoint.every=7"),
    ],
    "updates in one cycle": [
        *(*_WINE, "schedule=one_cycle", "training.updates=1200", "training.batch_size=30"),
        *("training.log_every_updates=10", "checkpoint.every=3"),
    ],
    "evaluated every fifth epoch, no validation part": [
        *(*_WINE, "dataset.split=whole", "training.eval_every=5", "training.epochs=500", "checkpoint.every=5"),
        "optimizer=adamw",
    ],
    "augmented images": [
        *("dataset=digits", "augmentation=shift_rotate", "architecture.hidden_sizes=[16]", "architecture.dropout=0.1"),
        *("training.epochs=30", "training.batch_size=200", "optimizer=adam", "checkpoint.every=2"),
    ],
    "two moons with diagnostics": [
        *(*_DEEP, "dataset=moons", "optimizer=adagrad", "training.diagnostics=[grad_norm,update_ratio]"),
        *("schedule=cosine", "schedule.warmup=20", "training.epochs=200", "checkpoint.every=5"),
    ],
}

_SWEEP = ["-m", *_WINE, "optimizer.momentum=0.9", "hydra.launcher.n_jobs=2"]

SWEEPS: dict[str, list[str]] = {
    "a sweep of four runs in two stacks": [
        *(*_SWEEP, "seed=0,1", "activation=tanh,relu", "training.epochs=200", "checkpoint.every=5"),
    ],
    "a sweep of runs that end at different times": [
        *(*_SWEEP, "seed=0,1", "training.epochs=60,150", "schedule=cosine", "checkpoint.every=10"),
        "hydra.launcher.backend=sequential",
    ],
}
