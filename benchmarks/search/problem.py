"""The problem, fixed before any of its results was looked at, and the ways of searching that are compared on it."""

EPOCHS = 27
"""Of a run that is not pruned."""
BUDGET = 40 * EPOCHS
"""Epochs that a search may train: 40 whole trials."""
REPETITIONS = 20
FRESH_SEEDS = 5
"""Runs of the best trial, on splits that no search has seen."""

FIXED = ("dataset=digits", f"training.epochs={EPOCHS}", "checkpoint.every=null", "tracking=none")
SPACE = (
    "optimizer.lr=tag(log,interval(0.0001,3.0))",
    "optimizer.momentum=interval(0.0,0.99)",
    "optimizer.weight_decay=tag(log,interval(0.0000001,0.1))",
    "training.batch_size=16,32,64,128",
    "architecture.hidden_sizes=[16],[32],[64],[128],[32,32],[64,64]",
    "activation=sigmoid,tanh,relu",
    "schedule=constant,cosine",
)
"""Seven dimensions, three of them continuous, two on logarithmic scales; parts of it hardly learn, parts diverge."""

_HALVING = ("pruner=successive_halving", "successive_halving.min_epochs=3", "successive_halving.reduction_factor=3")
_MEDIAN = ("pruner=median", "median.startup_trials=5", "median.warmup_epochs=3")
WAYS = {
    "random": ("sampler=random", "n_trials=40"),
    "TPE": ("sampler=tpe", "n_trials=40"),
    "TPE, median": ("sampler=tpe", "n_trials=160", *_MEDIAN),
    "TPE, halving": ("sampler=tpe", "n_trials=160", *_HALVING),
    "random, halving": ("sampler=random", "n_trials=160", *_HALVING),
}
"""Settings below ``hydra.sweeper``. Those that prune ask for more trials than the budget can pay, and are cut there."""
FIRST = "TPE, halving"
"""The comparison that decides: this way against ``random``; the others are told beside it."""
WITH_SEEDS = ("random", FIRST)
"""What is compared with several seeds a trial: decided when the results with one were known, before any of these."""
