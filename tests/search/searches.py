"""Searches for tests: small ones, in this process, and what is left of them."""

from pathlib import Path
from typing import Any

import optuna

from nnlab import app, journal
from nnlab.search.telling import TRIAL

SPACE = ("optimizer.lr=tag(log,interval(0.001,10))", "optimizer.momentum=interval(0.0,0.99)", "activation=relu,tanh")
QUICK = ("tracking=none", "training.epochs=9", "architecture.hidden_sizes=[6]", "hydra.launcher.backend=sequential")


def search(*given: str, space: tuple[str, ...] = SPACE) -> Path:
    """Run a search and return its directory; what is given comes last."""
    directory = app.train(["-m", "hydra/sweeper=optuna", *space, *QUICK, *given])
    assert directory is not None
    return directory


def settings(**values: Any) -> list[str]:
    """Return settings of the sweeper as overrides; ``median__startup_trials`` is a key of a section."""
    return [f"hydra.sweeper.{key.replace('__', '.')}={value}" for key, value in values.items()]


def study(directory: Path) -> optuna.Study:
    """Open the study that a search has kept in its directory."""
    return optuna.load_study(study_name=None, storage=f"sqlite:///{directory / 'study.db'}")


def trials(of: optuna.Study) -> list[tuple[Any, ...]]:
    """Return all that a study knows of its trials, the clock and the sweep's id left out."""
    return [
        (
            each.number,
            each.state.name,
            each.params,
            each.values,
            each.intermediate_values,
            dict(each.system_attrs),
            each.user_attrs[TRIAL].partition("/")[2],
        )
        for each in of.get_trials()
    ]


def runs(directory: Path) -> dict[str, Any]:
    """Return status, reason and all numbers but the clock's of a search's runs, by their directories' names."""
    found = {}
    for path in sorted(directory.glob("*/journal.jsonl")):
        record = journal.read(path.parent)
        steps = {
            step: {name: repr(value) for name, value in values.items() if not name.startswith("time/")}  # NaN is NaN
            for step, values in record.steps.items()
        }
        found[path.parent.name] = (record.status, record.reason, steps, record.run["overrides"])
    return found
