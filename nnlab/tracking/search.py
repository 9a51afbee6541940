"""Search: the runs that a store has, whoever trained them, as entries like those of the index."""

from __future__ import annotations

import functools
import gc
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.store.entities import PagedList

from nnlab.errors import NnlabError
from nnlab.index import Entry
from nnlab.one_line import one_line
from nnlab.tracking import store
from nnlab.tracking.mirror import Mirror, MlflowException

_RUNS_A_CALL, _EXPERIMENTS_A_CALL = 1000, 100
_SLICES = 16
_LEFT_OUT = ("nnlab.kind", "nnlab.reproduces")  # tags of sweeps as a whole, and of runs that were trained again


def search(outputs: Path, filter: str, experiment: str | None = None) -> list[Entry]:  # noqa: A002 - MLflow's word
    """Return the runs of nnlab that match a filter, without sweeps' own and what `nnlab reproduce` trained again.

    Args:
        outputs: the outputs root, whose store is asked unless ``MLFLOW_TRACKING_URI`` names another.
        filter: in MLflow's language, ``params.activation = 'relu' and metrics."val/loss" < 0.1``; may be empty.
        experiment: only its runs.

    Returns:
        an entry each, the oldest first; its directory is only the run's id in the store.

    Raises:
        NnlabError: the store can't be reached, the filter is wrong, or nothing matches.
    """
    uri = store.uri(outputs)
    file = store.sqlite_file(uri)
    if file is not None and not file.exists():
        raise NnlabError(f"--filter asks the MLflow store, and there is none at {file} yet")
    try:
        client = Mirror(outputs, uri).client
        experiments = {
            str(each.experiment_id): each.name
            for each in _experiments(client)
            if experiment is None or each.name == experiment
        }
        if not experiments:
            raise NnlabError(f"the store {store.shown(uri)} has no experiment {experiment!r}")
        with _without_collection():
            found = [
                _entry(run, experiments[run.info.experiment_id])
                for run in _runs(client, list(experiments), filter, at_once=4 if store.is_server(uri) else 1)
                if "nnlab.run_id" in run.data.tags and not any(tag in run.data.tags for tag in _LEFT_OUT)
            ]
    except NnlabError:
        raise
    except Exception as error:
        said = store.shown((str(error).strip() or type(error).__name__).splitlines()[0])
        if isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE":
            raise NnlabError(one_line(f"--filter {filter!r}: {said}")) from error
        raise NnlabError(one_line(f"the store {store.shown(uri)} can't be read: {said}"), exit_code=1) from error
    if not found:
        raise NnlabError(f"no run in the store {store.shown(uri)} matches --filter {filter!r}")
    return found


@contextmanager
def _without_collection() -> Iterator[None]:
    """Stop the search for cyclic garbage: of the million objects that MLflow makes none is, and it takes 15 s of 24."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _experiments(client: MlflowClient) -> Iterator[Experiment]:
    token: str | None = None
    while True:
        page = client.search_experiments(ViewType.ACTIVE_ONLY, max_results=_EXPERIMENTS_A_CALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _runs(client: MlflowClient, experiments: list[str], filter: str, *, at_once: int) -> Iterator[Run]:  # noqa: A002
    """Yield the runs that match, the oldest first.

    A server takes three seconds for a thousand, and has several workers: what is behind the first page is asked for in
    slices of time, some ``at_once``.
    """
    page = _page(client, experiments, filter, None)
    yield from page
    if not page.token:
        return
    if at_once == 1:
        yield from _pages(client, experiments, filter, page.token)
        return
    first = page[-1].info.start_time
    (newest,) = client.search_runs(experiments, filter, max_results=1, order_by=["attributes.start_time DESC"])
    step = (newest.info.start_time - first) // _SLICES + 1
    slices = [
        " and ".join(
            [
                *([filter] if filter.strip() else []),
                f"attributes.start_time >= {start}",
                f"attributes.start_time < {start + step}",
            ]
        )
        for start in range(first, newest.info.start_time + 1, step)
    ]
    seen = {run.info.run_id for run in page}
    with ThreadPoolExecutor(at_once) as pool:
        for runs in pool.map(lambda each: list(_pages(client, experiments, each, None)), slices):
            yield from (run for run in runs if run.info.run_id not in seen)


def _pages(client: MlflowClient, experiments: list[str], filter: str, token: str | None) -> Iterator[Run]:  # noqa: A002
    while True:
        page = _page(client, experiments, filter, token)
        yield from page
        token = page.token
        if not token:
            return


def _page(client: MlflowClient, experiments: list[str], filter: str, token: str | None) -> PagedList[Run]:  # noqa: A002
    order = ["attributes.start_time ASC"]
    return client.search_runs(experiments, filter, ViewType.ACTIVE_ONLY, _RUNS_A_CALL, order, token)


def _entry(run: Run, experiment: str) -> Entry:
    tags = run.data.tags
    fields = {
        "name": run.info.run_name,
        "experiment": experiment,
        "parent": tags.get("nnlab.sweep"),
        "dataset": {"hash": tags.get("nnlab.data_hash")},
    }
    status = run.info.status if run.info.status in ("FINISHED", "FAILED", "KILLED") else "RUNNING"
    return Entry(
        Path(run.info.run_id),
        fields,
        {name: _value(text) for name, text in run.data.params.items()},
        run.data.metrics,
        tags,
        status,  # type: ignore[arg-type]
        tags.get("nnlab.reason"),
        run.info.start_time or 0,
        run.info.end_time or 0,
    )


@functools.lru_cache(maxsize=10_000)  # the same few, run after run
def _value(text: str) -> Any:
    """Return what a journal has for what the store keeps as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
