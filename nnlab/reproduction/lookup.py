"""Lookup: a past run by its directory or its id, in the outputs root or in the store."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from nnlab import paths
from nnlab.one_line import one_line
from nnlab.reproduction import circumstances
from nnlab.reproduction.past import Past, Steps, commit_of, divided, is_summary, manifests_in, of_directory, readable
from nnlab.tracking import runs, store

_LARGEST = 1.7e308  # MLflow keeps an infinity as more than that, for it has none


def find(what: str, folder: Path) -> Past:
    """Find a past run.

    Args:
        what: a run's directory, or its id, MLflow's or nnlab's: of a run in the outputs root, else in the store.
        folder: an empty one, for what has to be downloaded.

    Raises:
        NnlabError: there is no such run, it has not ended, or its record is not enough to do it again.
    """
    outputs = paths.outputs_dir()
    local = runs.named(what, outputs)
    return of_directory(local) if local else _of_store(what, outputs, folder)


def _of_store(what: str, outputs: Path, folder: Path) -> Past:
    from nnlab.tracking.fetch import fetch  # MLflow takes 2 s to import

    uri = store.uri(outputs)
    fetched = fetch(outputs, uri, what, folder)
    with readable(Path(what)):
        facts = circumstances.recorded(folder, {"tags": fetched.tags}, fetched.params.get("training.blas_threads"))
        return Past(
            shown=f"run {fetched.mlflow_run_id} of {store.shown(uri)}",
            directory=folder,
            is_local=False,
            is_tracked=True,
            run_id=fetched.tags.get("nnlab.run_id", ""),
            mlflow_run_id=fetched.mlflow_run_id,
            name=one_line(fetched.name)[:250],
            status=fetched.status,
            reason=fetched.tags.get("nnlab.reason"),
            params=fetched.params,
            overrides=tuple(str(override) for override in circumstances.read(folder).get("overrides", ())),
            epochs=divided(_history(folder / "history.csv"))[0],
            updates={step: _with_infinities(values) for step, values in fetched.updates.items()},
            summary=_with_infinities({name: value for name, value in fetched.metrics.items() if is_summary(name)}),
            manifests=manifests_in(folder),
            circumstances=facts,
            data_hash=fetched.tags.get("nnlab.data_hash"),
            commit=commit_of(fetched.tags),
            config_hash=fetched.tags.get("nnlab.config_hash"),
        )


def _history(path: Path) -> Steps:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            int(row.pop("epoch")): {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        }


def _with_infinities(values: Mapping[str, float]) -> dict[str, float]:
    """Undo what MLflow makes of infinities."""
    return {name: math.copysign(math.inf, value) if abs(value) > _LARGEST else value for name, value in values.items()}
