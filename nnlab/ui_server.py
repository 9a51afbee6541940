"""UI server: MLflow's, in a process of its own, behind a gate that lets through what looking at runs needs.

MLflow's server can do far more than show runs: submit jobs, call language models and webhooks, make experiments whose
artifacts lie anywhere, run an assistant with a shell. And its own check of the Host header takes ``10.evil.example``
for a private address. So the gate refuses what is not on its list, whichever features MLflow may get, and every request
that a page of somebody else's could have made a browser send.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nnlab.one_line import one_line
from nnlab.tracking import store

HOST = "127.0.0.1"  # never more than this machine

_OPEN = {
    "GET": (
        r"/",
        r"/(favicon\.ico|health|version|get-artifact)",
        r"/static-files(/\w[\w.-]*)+",
        r"/ajax-api/2\.0/mlflow/(experiments|runs|metrics|artifacts|logged-models|registered-models|model-versions)/[\w/-]+",
        r"/ajax-api/2\.0/mlflow/gateway-proxy",  # has nowhere to go, see _FOREIGN; without it the page complains
        r"/ajax-api/3\.0/mlflow/(server-info|traces/[\w/-]+|datasets/[\w/-]+)",
    ),
    "POST": (
        r"/graphql",
        r"/ajax-api/2\.0/mlflow/(experiments|runs|logged-models)/search",
        r"/ajax-api/2\.0/mlflow/experiments/search-datasets",
        r"/ajax-api/2\.0/mlflow/experiments/(update|delete|restore|set-experiment-tag|delete-experiment-tag)",
        r"/ajax-api/2\.0/mlflow/runs/(update|delete|restore|set-tag|delete-tag)",
        r"/ajax-api/3\.0/mlflow/(traces|datasets|issues)/search",
    ),
}
"""Method -> paths, as a browser shows, renames, tags and deletes runs. Nothing here takes a place to read or write."""

_FOREIGN = ("MLFLOW_SERVER_", "_MLFLOW_", "MLFLOW_DEPLOYMENTS_TARGET", "MLFLOW_GATEWAY_")
"""What the names of variables begin with that are somebody's settings for another server."""

_Message = dict[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


class Gate:
    """An ASGI application in front of another.

    Args:
        app: the one that answers what is let through.
        port: that we listen on.
    """

    def __init__(self, app: _App, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}{end}" for name in (HOST, "localhost") for end in (f":{port}", *[""][: port == 80])}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        problem = self.problem(scope["method"], scope["path"], scope["headers"])
        if problem is None:
            await self._app(scope, receive, send)
            return
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 403, "headers": head})
        await send({"type": "http.response.body", "body": f"nnlab ui: {problem}\n".encode()})

    def problem(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return why a request is refused, or None.

        Args:
            method: of the request.
            path: decoded, without the query.
            headers: names in lower case, and values.
        """
        said: dict[str, list[str]] = {}
        for name, value in headers:
            said.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        if said.get("host", [""])[0] not in self._hosts or len(said["host"]) > 1:
            return "the Host header is not ours"  # a name that somebody has pointed at this machine
        if any(origin not in self._origins for origin in said.get("origin", [])):
            return "the request comes from another page"
        is_visit = method == "GET" and said.get("sec-fetch-dest") == ["document"]
        if not is_visit and any(site not in ("same-origin", "none") for site in said.get("sec-fetch-site", [])):
            return "the request comes from another page"
        if not any(re.fullmatch(pattern, path) for pattern in _OPEN.get(method, ())):
            return f"{method} {path} is closed here, as looking at runs doesn't need it"
        return None


def main() -> None:
    """Serve the store that the standard input names until that ends: so nobody has to tell us when our starter is gone.

    A store's URI may hold a password, and what stands on a command line is everybody's to read.
    """
    artifacts, port = sys.argv[1], int(sys.argv[2])
    uri = sys.stdin.readline().rstrip("\n")
    threading.Thread(target=_end_with_input, daemon=True).start()
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import uvicorn
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    os.environ |= {BACKEND_STORE_URI_ENV_VAR: uri, ARTIFACT_ROOT_ENV_VAR: artifacts}
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    from nnlab.tracking.creation import open_store

    try:
        open_store(uri)
        initialize_backend_stores(uri, uri, artifacts)
    except Exception as error:  # of MLflow, of SQLAlchemy, of a database's driver
        sys.stderr.write(store.shown(traceback.format_exc()))
        sys.exit(one_line(f"the store {store.shown(uri)} can't be opened: {store.shown(str(error))}"))
    # Without the lifespan, in which MLflow looks for containers of its assistant with docker.
    options: dict[str, Any] = {"lifespan": "off", "ws": "none", "proxy_headers": False, "server_header": False}
    uvicorn.run(Gate(app, port), host=HOST, port=port, workers=1, **options)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
