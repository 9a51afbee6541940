"""Circumstances: what a run's numbers may depend on besides its config, then and now."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab import environment, regular_file
from nnlab.errors import NnlabError

FILE = "environment.json"

_LARGEST = 1 << 20
_NAMES = {
    "code_version": "code",
    "nnlab": "nnlab",
    "python": "Python",
    "system": "system",
    "cpu": "CPU",
    "blas": "BLAS",
}


@dataclass(frozen=True)
class Changed:
    """Something that is not as it was.

    Attributes:
        what: ``numpy``.
        then: its value for the old run; None if it was not there.
        now: likewise.
    """

    what: str
    then: str | None
    now: str | None

    def __str__(self) -> str:
        """Return it as a line: ``numpy 2.4.5 then, 2.4.6 now``."""
        is_hash = self.what in ("code", "config.yaml")
        short = [f"{value:.12}" if is_hash and value else value for value in (self.then, self.now)]
        then, now = (value or "absent" for value in short)
        return f"{self.what} {then} then, {now} now"


def recorded(directory: Path, run: Mapping[str, Any], threads: object) -> dict[str, str | None]:
    """Return the circumstances that a run recorded, by their names for people.

    Args:
        directory: of the run.
        run: the ``run`` line of its journal, for runs from before there was an environment.json.
        threads: that its params tell.

    Raises:
        NnlabError: environment.json is damaged.
    """
    if facts := read(directory):
        return _named(facts, threads)
    old = run.get("environment", {})
    if "packages" in old:  # somebody has deleted the file; the journal says the same
        return _named(old, threads)
    facts = {
        "code_version": run.get("tags", {}).get("nnlab.code_version"),
        "python": old.get("python"),
        "blas": " ".join(str(old["blas"]).split()[:2]) if "blas" in old else None,  # then of all that were loaded
        "system": str(old["machine"]).rpartition(", ")[0] if "machine" in old else None,
        "packages": {"numpy": old["numpy"]} if "numpy" in old else {},
    }
    return _named({name: value for name, value in facts.items() if value is not None}, threads)


def current(threads: int) -> dict[str, str | None]:
    """Return the circumstances of this process."""
    return _named(environment.facts(), threads)


def changed(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[Changed]:
    """Return what is not as it was, as far as it is known of both."""
    return [
        Changed(name, then[name], now.get(name))
        for name in then
        if then[name] != now.get(name) and not (name == "BLAS" and str(now.get(name)).startswith(f"{then[name]} "))
    ]


def unknown(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    """Return what is known now and was not recorded then."""
    return [name for name in now if name not in then]


def _named(facts: Mapping[str, Any], threads: object) -> dict[str, str | None]:
    packages = facts.get("packages")
    return {
        **{shown: _text(facts[name]) for name, shown in _NAMES.items() if name in facts},
        **{str(name): _text(version) for name, version in (packages if isinstance(packages, dict) else {}).items()},
        **({"BLAS threads": _text(threads)} if threads is not None else {}),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:200]


def read(directory: Path) -> dict[str, Any]:
    """Return what a run's environment.json says; nothing for a run from before there was one.

    Raises:
        NnlabError: it is damaged.
    """
    path = directory / FILE
    if not os.path.lexists(path):
        return {}
    try:
        facts = json.loads(regular_file.read(path, _LARGEST))
    except (ValueError, RecursionError) as error:
        raise NnlabError(f"{path} is damaged: it is no JSON of a run's environment") from error
    if not isinstance(facts, dict):
        raise NnlabError(f"{path} is damaged: it is no JSON object")
    return facts
