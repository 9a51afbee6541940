"""Asks: requests that `nnlab ui` must refuse, as pages of somebody else's and other programs could send them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass

_EVIL_HOSTS = (
    *("evil.example", "evil.example:{port}", "10.evil.example:{port}", "192.168.evil.example", "172.16.0.1:{port}"),
    *("127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "[::1]:{port}", "127.0.0.1:{port}.evil.example", "", "*"),
    *("localhost.evil.example:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}, evil.example"),
)
_EVIL_ORIGINS = (
    *("http://evil.example", "https://evil.example", "null", "file://", "http://localhost:1", "http://127.0.0.1:1"),
    *("https://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example", "http://10.0.0.1:{port}", "*"),
)
RUNS, _EXPERIMENTS = "/ajax-api/2.0/mlflow/runs", "/ajax-api/2.0/mlflow/experiments"
_CHANGES = (
    (f"{RUNS}/delete", {"run_id": "{run}"}),
    (f"{RUNS}/set-tag", {"run_id": "{run}", "key": "evil", "value": "1"}),
    (f"{RUNS}/create", {"experiment_id": "{experiment}"}),
    (f"{_EXPERIMENTS}/delete", {"experiment_id": "{experiment}"}),
    (f"{RUNS}/search", {"experiment_ids": ["{experiment}"]}),
)
_LEAVING = (
    *("../canary", "../../canary", "../../../canary", "../../../../canary", "../../../../../canary"),
    *("%2e%2e/%2e%2e/%2e%2e/canary", "..%2f..%2f..%2fcanary", "%252e%252e/%252e%252e/%252e%252e/canary"),
    *("plots/../../../../canary", "plots/%2e%2e/%2e%2e/%2e%2e/canary", "./../../../canary", "..%5c..%5c..%5ccanary"),
    *("{root}/canary", "/{root}/canary", "file://{root}/canary", "%2f{root}/canary", "link", "folder/canary"),
)
_ARTIFACTS = (
    "/get-artifact?run_uuid={run}&path={path}",
    "/ajax-api/2.0/mlflow/artifacts/list?run_id={run}&path={path}",
    "/api/2.0/mlflow-artifacts/artifacts/{path}",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/{path}",
    "/static-files/{path}",
)
_CLOSED: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("POST", f"{_EXPERIMENTS}/create", {"name": "x", "artifact_location": "file://{root}"}),
    ("POST", "/api/2.0/mlflow/experiments/create", {"name": "x", "artifact_location": "file://{root}"}),
    ("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "{experiment}"}),
    ("POST", "/ajax-api/2.0/mlflow/model-versions/create", {"name": "x", "source": "file://{root}"}),
    ("POST", "/ajax-api/2.0/mlflow/registered-models/create", {"name": "x"}),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x", {}),
    ("POST", "/ajax-api/2.0/mlflow/webhooks", {"name": "x", "url": "https://127.0.0.1/", "events": []}),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy", {"gateway_path": "api/2.0/endpoints/"}),
    ("POST", "/ajax-api/3.0/mlflow/gateway/secrets/create", {}),
    ("POST", "/ajax-api/3.0/mlflow/scorers/register", {}),
    ("POST", "/ajax-api/3.0/jobs/", {"job_name": "x", "params": {}}),
    ("POST", "//ajax-api/3.0/jobs/", {"job_name": "x", "params": {}}),
    ("POST", "/ajax-api/3.0/mlflow/prompt-optimization/jobs", {}),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message", {"message": "run a shell"}),
    ("PUT", "/ajax-api/3.0/mlflow/assistant/config", {"providers": {}}),
    ("GET", "/ajax-api/3.0/mlflow/assistant/providers", {}),
    ("POST", "/gateway/x/mlflow/invocations", {}),
    ("POST", "/v1/traces", {}),
    ("OPTIONS", f"{RUNS}/search", {}),
    ("DELETE", "/ajax-api/2.0/mlflow/registered-models/delete", {"name": "x"}),
)


@dataclass(frozen=True)
class Ask:
    """A request that must be refused.

    Attributes:
        what: for people.
        method: of it.
        target: path and query.
        headers: beside the ordinary ones.
        body: its JSON.
    """

    what: str
    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def __repr__(self) -> str:
        return f"{self.what}: {self.method} {self.target} {dict(self.headers) or ''}"


def asks() -> list[Ask]:
    """Return them all; ``{run}``, ``{experiment}``, ``{root}`` and ``{port}`` are to be filled in."""
    found = [Ask("evil host", headers=(("Host", host),)) for host in _EVIL_HOSTS]
    found += [Ask("evil host", target=f"{RUNS}/get?run_id={{run}}", headers=(("Host", host),)) for host in _EVIL_HOSTS]
    for origin, (target, body) in itertools.product(_EVIL_ORIGINS, _CHANGES):
        found.append(Ask("evil origin", "POST", target, (("Origin", origin),), json.dumps(body)))
    for site in ("cross-site", "same-site"):
        headers = (("Sec-Fetch-Site", site), ("Sec-Fetch-Dest", "image"))
        found.append(Ask("embedded elsewhere", target="/get-artifact?run_uuid={run}&path=config.yaml", headers=headers))
    for target, path in itertools.product(_ARTIFACTS, _LEAVING):
        found.append(Ask("path that leaves", target=target.replace("{path}", path)))
    found += [Ask("closed", method, target, body=json.dumps(body)) for method, target, body in _CLOSED]
    return found
