"""The notebook's way in: runs, histories and comparisons as DataFrames, networks as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nnlab import app, journal
from nnlab.build import build
from nnlab.comparison import compare
from nnlab.compose import as_override
from nnlab.errors import NnlabError
from nnlab.frames import find_runs, frame
from nnlab.network import Network, load
from nnlab.saved_config import load_config
from nnlab.sweep import resumption
from nnlab.training import evaluate as evaluate_part

__all__ = ["Network", "compare", "evaluate", "history", "load", "resume", "run"]


def run(overrides: str | Sequence[str] | Mapping[str, Any] = ()) -> pd.DataFrame:
    """Train as ``nnlab train`` does, and return one row a run: directory, status, params and metrics.

    Args:
        overrides: as on the command line, ``["dataset=moons", "seed=3"]`` or ``{"dataset": "moons", "seed": 3}``;
            with ``-m`` among them, commas make a sweep.

    Raises:
        NnlabError: the input was wrong, or a run failed (its record is in the outputs root all the same).
    """
    if isinstance(overrides, str):
        given = [overrides]
    elif isinstance(overrides, Mapping):
        given = [as_override(key, value) for key, value in overrides.items()]
    else:
        given = list(overrides)
    directory = app.train(given)
    return frame(find_runs([directory]) if directory else [])


def resume(directory: str | Path, *, retry_failed: bool = False) -> pd.DataFrame:
    """Finish a sweep or a run that was stopped, as ``nnlab resume`` does, and return one row a run.

    Args:
        directory: of the sweep or the run.
        retry_failed: do the runs that failed as well.

    Raises:
        NnlabError: there is nothing that can be gone on with, or a run failed (its record is there all the same).
    """
    directory = Path(directory).expanduser()
    resumption.resume(directory, retry_failed=retry_failed)
    return frame(find_runs([directory]))


def history(directory: str | Path) -> pd.DataFrame:
    """Return a run's metrics, one row an epoch, from its journal; ``final/*`` and ``best/*`` stand in ``attrs``.

    Raises:
        NnlabError: the directory holds no run.
    """
    record = journal.read(Path(directory))
    table = pd.DataFrame.from_dict(record.steps, orient="index").rename_axis("epoch")
    once = [name for name in record.metrics if name.startswith(("final/", "best/"))]
    table.attrs.update({name: record.metrics[name] for name in once})
    return table.drop(columns=once)


def evaluate(directory: str | Path, *, split: str = "test", checkpoint: str = "last") -> tuple[float, float, int]:
    """Return (loss, accuracy, number of samples) of a run's checkpoint on a split of the run's own data.

    Args:
        directory: of the run.
        split: ``train``, ``val`` or ``test``.
        checkpoint: ``last``, ``best`` or an epoch's number.

    Raises:
        NnlabError: there is no such run, checkpoint or split.
    """
    config = load_config(Path(directory) / "config.yaml")
    stack = build([config])
    if split not in stack.parts:
        raise NnlabError(f"{stack.dataset.name} has no part {split!r} here; choose from {', '.join(stack.parts)}")
    try:
        stack.network.load_state_dict(load(directory, checkpoint).sequential.state_dict())
    except ValueError as error:
        raise NnlabError(f"{directory}: its checkpoint is not that of its config.yaml: {error}") from error
    loss, accuracy = evaluate_part(stack.network, stack.loss, stack.parts[split])
    return float(loss[0]), float(accuracy[0]), stack.parts[split].size
