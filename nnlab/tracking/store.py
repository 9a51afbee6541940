"""Store: which MLflow store runs go to, without importing mlflow."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from nnlab.errors import NnlabError

_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


def uri(outputs: Path) -> str:
    """Return the tracking URI: ``$MLFLOW_TRACKING_URI``, else a sqlite file in the outputs root.

    Raises:
        NnlabError: it is nothing that MLflow takes as a store.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(outputs / "mlflow.db")
    scheme = given.partition("://")[0].partition("+")[0] if "://" in given else ""
    if scheme not in _SCHEMES:
        raise NnlabError(
            f"MLFLOW_TRACKING_URI={shown(given)!r} is no store: give sqlite:///FILE.db, the http://... of an MLflow "
            f"server, or another of {', '.join(_SCHEMES)} (MLflow has given up folders)"
        )
    file = sqlite_file(given)
    if file is not None and file.is_dir():
        raise NnlabError(f"{file} is a folder where the store's sqlite file should be: move it away")
    return given


def is_server(uri: str) -> bool:
    """Say whether a tracking server answers there."""
    return uri.startswith(("http://", "https://"))


def is_own(uri: str, outputs: Path) -> bool:
    """Say whether it is the outputs root's own sqlite file, whose artifacts go beside it."""
    return sqlite_file(uri) == (outputs / "mlflow.db").resolve()


def sqlite_uri(file: Path) -> str:
    """Return the URI of the store in a sqlite file."""
    return f"sqlite:///{re.sub('[%?]', lambda special: quote(special[0]), file.as_posix())}"


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a sqlite store, absolute."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0])).resolve()


def key(uri: str) -> str:
    """Return a short name for a store, good for file names."""
    file = sqlite_file(uri)
    return hashlib.sha256((f"sqlite:{file}" if file else uri.rstrip("/")).encode()).hexdigest()[:8]


def shown(uri: str) -> str:
    """Return a URI, or a text with URIs in it, without the passwords they may hold."""
    return re.sub(r"(?i)(?<=://)[^/\s]+@|(?<=[?&]password=)[^&\s]+", _mask, uri)


def _mask(secret: re.Match[str]) -> str:
    return "***@" if secret[0].endswith("@") else "***"
