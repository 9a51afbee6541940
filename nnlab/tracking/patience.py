"""Patience: asking a tracking server again whose answer got lost, or was none of MLflow's."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException

_PAUSES = 0.2, 1.0  # seconds before asking again
_LONG = 10.0  # a call that took so long is not repeated at once
_ONCE = frozenset({"create_run"})  # an answer may be lost though it was created: it has to be looked for first
# Not BAD_REQUEST: so MLflow calls whatever a database says, two trackers that log one data set at once included.
_FINAL = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_ALREADY_EXISTS",
        "ENDPOINT_NOT_FOUND",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "CUSTOMER_UNAUTHORIZED",
    }
)


class Patient:
    """A client of MLflow, or a repository for artifacts, whose calls are repeated where that may help.

    All that a tracker sends may come twice without changing anything; but for the creation of a run, which is left to
    the caller. MLflow's own client can't tell them apart, and does not repeat what was answered with garbage.

    Args:
        asked: the client.

    Attributes:
        failures: calls that have failed so far, in vain repeated ones too.
    """

    def __init__(self, asked: Any) -> None:
        self.failures = 0
        self._asked = asked

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(self._call, getattr(self._asked, name), () if name in _ONCE else _PAUSES)

    def _call(self, call: Callable[..., Any], pauses: tuple[float, ...], *arguments: Any, **keywords: Any) -> Any:
        for pause in (*pauses, None):
            started = time.monotonic()
            try:
                return call(*arguments, **keywords)
            except BaseException as error:  # Ctrl-C too: the server may do all the same what it was asked
                self.failures += 1
                is_worth_it = isinstance(error, Exception) and not is_final(error)
                if pause is None or not is_worth_it or time.monotonic() - started > _LONG:
                    raise
            time.sleep(pause)
        raise AssertionError


def is_final(error: Exception) -> bool:
    """Say whether a server has understood, and the same question would get the same answer."""
    return isinstance(error, MlflowException) and error.error_code in _FINAL
