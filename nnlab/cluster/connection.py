"""Connection: from a scheduler's address to a cluster that can train, or one line that says why it can't."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from nnlab import paths
from nnlab.errors import NnlabError
from nnlab.tracking import store

try:
    import distributed
except ImportError as error:
    raise NnlabError("hydra.launcher.backend=dask needs Dask: pip install 'nnlab[dask]'") from error

from nnlab.cluster.dask_backend import Cluster

_dask: Any = distributed  # whose types are not complete yet
_SECONDS = 15


@contextlib.contextmanager
def connect(scheduler: str, *, is_tracked: bool) -> Iterator[Cluster]:
    """Connect to a cluster.

    Args:
        scheduler: its address.
        is_tracked: whether runs are mirrored into MLflow, by the workers' own trackers.

    Raises:
        NnlabError: it can't be reached, or its workers could not reach our store.
    """
    uri = _server() if is_tracked else None
    try:
        client = _dask.Client(scheduler, timeout=_SECONDS, set_as_default=False, name="nnlab")
    except (OSError, ValueError, TimeoutError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NnlabError(f"hydra.launcher.scheduler={scheduler}: it can't be reached: {text}", exit_code=1) from error
    try:
        yield Cluster(client, uri)
    finally:
        client.close()


def _server() -> str:
    """Return the server that the workers' trackers send to."""
    uri = store.uri(paths.outputs_dir())
    if not store.is_server(uri):
        raise NnlabError(
            f"hydra.launcher.backend=dask: workers can't reach the store {store.shown(uri)}: set MLFLOW_TRACKING_URI "
            "to a tracking server (docs/team.md), or tracking=none"
        )
    if store.shown(uri) != uri:
        raise NnlabError(
            "hydra.launcher.backend=dask: MLFLOW_TRACKING_URI goes to the workers, so it must hold no password: they "
            "take it from their own MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return uri
