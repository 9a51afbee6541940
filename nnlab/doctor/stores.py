"""Stores: MLflow's, asked without MLflow, whose import takes seconds."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nnlab.doctor.remark import Remark, count, some, trouble
from nnlab.tracking import store

_SECONDS = 5.0  # for a server's answer
_LOCK_SECONDS = 2.0
_WHOLE_BYTES = 64_000_000  # of a file that is checked whole; of a larger one, what is quick
_LINE = re.compile(r"^(down_)?revision\b[^=\n]*= *['\"(]*([0-9a-f]+)", re.MULTILINE)


def rows(outputs: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a sqlite store answers; nothing if it is another kind, not there yet, or can't be read."""
    file = store.sqlite_file(store.uri(outputs))
    if file is None or not file.is_file():
        return []
    try:
        with closing(_connect(file)) as database:
            return database.execute(query).fetchall()
    except sqlite3.DatabaseError:  # of which `reachable` says enough
        return []


def _connect(file: Path) -> sqlite3.Connection:
    """Open a store to be looked at; nothing can be changed through it."""
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_LOCK_SECONDS)


def reachable(outputs: Path) -> Iterator[Remark]:
    """Check that the store is there, answers, and is whole."""
    uri = store.uri(outputs)
    file = store.sqlite_file(uri)
    shown = store.shown(uri)
    if file is not None:
        yield _file(file)
    elif store.is_server(uri):
        yield _server(uri)
    else:
        yield Remark("store", f"{shown}: `nnlab sync` will tell whether it answers")
    if file is not None and not store.is_own(uri, outputs):
        yield Remark("store", "its artifacts go where MLflow puts them, ./mlruns below the current directory")


def _file(file: Path) -> Remark:
    if not file.exists():
        if not os.access(next(each for each in file.parents if each.exists()), os.W_OK):
            return trouble(
                "store", f"{file} is not there and can't be made", "set MLFLOW_TRACKING_URI to another place"
            )
        return Remark("store", f"{file}, which the first run makes")
    if not os.access(file, os.R_OK | os.W_OK):
        return trouble("store", f"{file} can't be written to", f"run: chmod u+rw {shlex.quote(str(file))}")
    hot = file.with_name(f"{file.name}-journal")
    try:
        with closing(_connect(file)) as cursor:
            check = "integrity_check" if file.stat().st_size <= _WHOLE_BYTES else "quick_check"
            (found,) = cursor.execute(f"PRAGMA {check}(1)").fetchone()
            names = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return trouble("store", f"{file} is locked by another process", "end it, or wait until it has finished")
        if hot.exists():
            text = f"{file}: a process died while it wrote ({hot.name} is still there)"
            return trouble("store", text, "run: nnlab sync, which takes the half-done write back")
        return trouble("store", f"{file} can't be opened: {error}", _anew(file))
    except sqlite3.DatabaseError as error:
        return trouble("store", f"{file} is damaged: {error}", _anew(file))
    if found != "ok":
        return trouble("store", f"{file} is damaged: {found.splitlines()[-1]}", _anew(file))
    if not {"experiments", "runs", "metrics"} <= names:
        return trouble("store", f"{file} is no MLflow store", _anew(file))
    return Remark("store", f"{file}, {file.stat().st_size / 1e6:,.1f} MB, intact")


def _anew(file: Path) -> str:
    moved = shlex.quote(f"{file}.damaged")
    return f"the journals have all: run: mv {shlex.quote(str(file))} {moved} && nnlab sync"


def _server(uri: str) -> Remark:
    import requests

    shown = store.shown(uri)
    remedy = "start it, or unset MLFLOW_TRACKING_URI; runs are kept, and `nnlab sync` brings them over"
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=_SECONDS)
    except requests.RequestException as error:
        return trouble("store", f"{shown} doesn't answer ({type(error).__name__})", remedy)
    if answer.status_code in (401, 403):
        text = f"{shown} refuses us ({answer.status_code})"
        return trouble("store", text, "set MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN")
    version = answer.text.strip()
    if not answer.ok or not re.fullmatch(r"[\w.+-]{1,40}", version):
        return trouble("store", f"{shown} answers ({answer.status_code}), but not as an MLflow server", remedy)
    here = metadata.version("mlflow")
    if version.partition(".")[0] != here.partition(".")[0]:
        text = f"{shown} is MLflow {version}, and here is {here}"
        return trouble("store", text, "install the same major version on both ends")
    return Remark("store", f"{shown}, MLflow {version} (here {here})")


def schema(outputs: Path) -> Iterator[Remark]:
    """Check that the store's schema is that of the MLflow which is installed."""
    file = store.sqlite_file(store.uri(outputs))
    known, heads = _revisions()
    found = {revision for (revision,) in rows(outputs, "SELECT version_num FROM alembic_version")}
    if file is None or not (heads and found):
        return
    here = metadata.version("mlflow")
    if found == heads:
        yield Remark("store", f"schema {', '.join(sorted(found))}, that of MLflow {here}")
    elif found <= known:
        uri, copy = shlex.quote(store.sqlite_uri(file)), shlex.quote(f"{file}.before")
        text = f"{file} has the schema of an older MLflow than {here}, which won't open it"
        remedy = f"run: cp {shlex.quote(str(file))} {copy} && {sys.executable} -m mlflow db upgrade {uri}"
        yield trouble("store", text, remedy)
    else:
        text = f"{file} has the schema of a newer MLflow than {here}, which won't open it"
        yield trouble("store", text, f"run: {sys.executable} -m pip install --upgrade 'mlflow<4'")


def _revisions() -> tuple[set[str], set[str]]:
    """Return the schema's revisions that the installed MLflow knows, and the newest among them."""
    spec = importlib.util.find_spec("mlflow")
    folder = Path(spec.origin).parent / "store/db_migrations/versions" if spec and spec.origin else None
    revisions: set[str] = set()
    older: set[str] = set()
    for path in folder.glob("*.py") if folder else ():
        for is_older, revision in _LINE.findall(path.read_text(encoding="utf-8")):
            (older if is_older else revisions).add(revision)
    return revisions, revisions - older


def artifacts(outputs: Path) -> Iterator[Remark]:
    """Check that the folders for artifacts are there, as they would not be if the outputs were moved."""
    query = (
        "SELECT DISTINCT experiments.name, artifact_location FROM experiments JOIN runs USING (experiment_id) "
        "WHERE experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active' ORDER BY experiments.name"
    )
    places = {name: _local(location) for name, location in rows(outputs, query)}
    gone = {name: path for name, path in places.items() if path is not None and not path.is_dir()}
    for name, path in gone.items():
        moved = outputs / "artifacts" / path.name
        if moved.is_dir():
            text = f"experiment {name!r} keeps its artifacts in {path}, which is not there: the outputs were moved"
            above, old, new = (shlex.quote(str(each)) for each in (path.parent, path, moved))
            yield trouble("store", text, f"run: mkdir -p {above} && ln -s {new} {old}")
    lost = [name for name, path in gone.items() if not (outputs / "artifacts" / path.name).is_dir()]
    if lost:
        text = f"the artifacts of {count(len(lost), 'experiment')} are gone: {some(lost)}"
        yield trouble("store", text, "put the folder back, or delete the experiment in MLflow's UI")


def _local(location: str | None) -> Path | None:
    """Return the folder that a place for artifacts is on this machine."""
    parts = urlsplit(location or "")
    if parts.scheme == "file" or (not parts.scheme and parts.path):
        return Path(unquote(parts.path))
    return None
