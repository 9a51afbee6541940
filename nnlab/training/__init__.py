"""Training: the one loop, a generator that yields an EpochResult, for a stack of replicas."""

from nnlab.training.diagnostics import Diagnostic, Diagnostics
from nnlab.training.early_stopping import EarlyStopping
from nnlab.training.evaluation import evaluate, higher_is_better
from nnlab.training.loop import nonfinite, train
from nnlab.training.plan import Plan
from nnlab.training.result import EpochResult, Update

__all__ = [
    "Diagnostic",
    "Diagnostics",
    "EarlyStopping",
    "EpochResult",
    "Plan",
    "Update",
    "evaluate",
    "higher_is_better",
    "nonfinite",
    "train",
]
