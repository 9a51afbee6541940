"""Store: which MLflow store runs go to, without importing mlflow."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote, unquote


def uri(outputs: Path) -> str:
    """Return the tracking URI: ``$MLFLOW_TRACKING_URI``, else a sqlite file in the outputs root."""
    own = re.sub("[%?]", lambda special: quote(special[0]), (outputs / "mlflow.db").as_posix())
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own}"


def is_server(uri: str) -> bool:
    """Say whether a tracking server answers there."""
    return uri.startswith(("http://", "https://"))


def is_own(uri: str, outputs: Path) -> bool:
    """Say whether it is the outputs root's own sqlite file, whose artifacts go beside it."""
    return sqlite_file(uri) == (outputs / "mlflow.db").resolve()


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
