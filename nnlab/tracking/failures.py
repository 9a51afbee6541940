"""Failures: what goes wrong with a store, in one line that holds no secret, and not again and again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nnlab.errors import NnlabError
from nnlab.one_line import one_line
from nnlab.tracking import store

_LONGEST = 300  # characters
_EVERY_SECONDS = 60.0
_REQUEST = re.compile(r"API request to \S+ failed with (?:timeout )?exception (?P<cause>.*)", re.DOTALL)
_CAUSE = re.compile(r"\(Caused by \w+\((?P<cause>.*)\)\)", re.DOTALL)
_POOL = re.compile(r"\w*Connection(?:Pool)?\(host='[^']*', port=\d+\): ")
_REFUSALS = {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403}


class RefusedError(NnlabError):
    """Asking again is no use: a server wants a login, or does not let this user do it, or a driver is not installed."""


class UnopenedError(NnlabError):
    """A store can't be opened now."""


class GarbageError(Exception):
    """An answer that is not MLflow's."""


def line(error: Exception) -> str:
    """Return what is wrong in one line."""
    text = str(error).strip() or type(error).__name__
    if request := _REQUEST.match(text):
        text = request["cause"]
        if cause := _CAUSE.search(text):
            text = cause["cause"].strip("\"'")
        text = f"asking the server failed: {_POOL.sub('', text)}"
    elif isinstance(error, NnlabError | OSError | GarbageError) or hasattr(error, "error_code"):
        text = text.splitlines()[0]
    else:  # what our own code, or MLflow's, makes of an answer that it did not expect
        text = f"{type(error).__name__}: {text}"
    shown = one_line(store.shown(text).replace("\n", " "))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ..."


def unopened(error: Exception, uri: str) -> NnlabError:
    """Return what to say of a store that can't be opened."""
    if isinstance(error, NnlabError):
        return error
    if isinstance(error, ModuleNotFoundError):  # a database's, which SQLAlchemy imports when it is asked for
        what = f"is a database whose driver, the package {error.name}, is not installed: install it"
        return RefusedError(f"the store {store.shown(uri)} {what}, then run `nnlab sync`", 1)
    problem = f"the store {store.shown(uri)} can't be opened: {line(error)}"
    return refused(error, uri) or UnopenedError(problem, exit_code=1)


def refused(error: Exception, uri: str) -> RefusedError | None:
    """Return what to do about a server that does not let us in; None if it is something else."""
    code = _REFUSALS.get(getattr(error, "error_code", ""))
    if code is None:
        return None
    what = (
        "wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        if code == 401
        else "does not allow it to this user: ask whoever runs it"
    )
    return RefusedError(f"the server {store.shown(uri)} {what}, then run `nnlab sync` (HTTP {code}: {line(error)})", 1)


class Reports:
    """Reports failures: each that will not pass by itself, of the others one a minute.

    A server may be away for days, and each refusal have words of its own.

    Args:
        report: takes a line.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._known: dict[Path, str] = {}
        self._next = 0.0

    def failed(self, failures: Mapping[Path, Exception]) -> None:
        """Take the failures of a pass, where and what."""
        new = {place: line(error) for place, error in failures.items() if self._known.get(place) != line(error)}
        for place, error in failures.items():
            if place in new and isinstance(error, NnlabError) and not isinstance(error, UnopenedError):
                self._known[place] = new[place]
                self._report(f"{place}: {new.pop(place)}")
        if new and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            place, text = next(iter(new.items()))
            self._known |= new
            self._report(f"{place}: {text}{f' (and {len(new) - 1} more runs)' if len(new) > 1 else ''}")

    def mended(self, place: Path) -> None:
        """Take a place at which all is well."""
        self._known.pop(place, None)
