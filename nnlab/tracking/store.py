"""Store: which MLflow store runs go to, without importing mlflow."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from nnlab.errors import NnlabError

_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///(?P<path>[^?]+)")
_IN_MEMORY = (":memory:", "file:")  # the latter may be, and is SQLite's own kind of URI


def uri(outputs: Path) -> str:
    """Return the tracking URI: ``$MLFLOW_TRACKING_URI``, else a sqlite file in the outputs root.

    That of a sqlite file is absolute, so that it means the same in every process and whatever their current directory.

    Raises:
        NnlabError: it is nothing that MLflow takes as a store, or a sqlite store that would go with its process.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(outputs / "mlflow.db")
    scheme = given.partition("://")[0].partition("+")[0] if "://" in given else ""
    file = sqlite_file(given)
    if scheme not in _SCHEMES or (scheme == "sqlite" and file is None):
        raise NnlabError(
            f"MLFLOW_TRACKING_URI={shown(given)!r} is no store: give sqlite:///FILE.db, the http://... of an MLflow "
            f"server, or another of {', '.join(_SCHEMES)} (MLflow has given up folders)"
        )
    if file is None:
        return given
    if file.is_dir():
        raise NnlabError(f"{file} is a folder where the store's sqlite file should be: move it away")
    _, mark, options = given.partition("?")
    return sqlite_uri(file) + mark + options


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
    """Return the file of a sqlite store, absolute; None for another store, and for one in memory."""
    found = _SQLITE.match(uri)
    if found is None or found["path"].startswith(_IN_MEMORY):
        return None
    return Path(unquote(found["path"])).resolve()


def key(uri: str) -> str:
    """Return a short name for a store, good for file names."""
    file = sqlite_file(uri)
    return hashlib.sha256((f"sqlite:{file}" if file else uri.rstrip("/")).encode()).hexdigest()[:8]


_USER = r"(?:(?<=://)|^(?!\S+://))(?:[^/\s:@]*:(?!\d+/)\S*|[^/\s:]+)@"
_QUERY = r"(?<=[?&])([\w.%-]+=)[^&\s'\"]+"


def shown(uri: str) -> str:
    """Return a URI, or a text with URIs in it, without users, passwords and what a query says: it may be a token."""
    return re.sub(f"{_USER}|{_QUERY}", lambda secret: f"{secret[1]}***" if secret[1] else "***@", uri)
