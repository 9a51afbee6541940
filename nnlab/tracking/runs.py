"""The runs of an outputs root, as directories with a journal."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.tracking import cursor, store

_ELSEWHERE = "elsewhere.txt"
_ID = re.compile("[0-9a-f]{32}")


def find(outputs: Path) -> list[Path]:
    """Return every run directory, sweeps before their children, the oldest first."""
    found = [*outputs.glob(f"runs/*/{journal.NAME}"), *outputs.glob(f"sweeps/*/{journal.NAME}")]
    found = sorted(found) + sorted(outputs.glob(f"sweeps/*/*/{journal.NAME}"), key=_by_number)
    directories = [path.parent for path in found if path.is_file()]  # a named pipe would be waited at for ever
    listed = outputs / _ELSEWHERE
    if listed.exists():
        elsewhere = [Path(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        directories += [path for path in dict.fromkeys(elsewhere) if (path / journal.NAME).is_file()]
    return directories


def named(what: str, outputs: Path) -> Path | None:
    """Return the directory that somebody names, be it a run's or a sweep's or none; None for an id that no run has.

    Args:
        what: a path, or a run's id, MLflow's or nnlab's.
        outputs: the outputs root.

    Raises:
        NnlabError: it is neither.
    """
    path = Path(what).expanduser()
    if path.exists():
        return path.resolve()
    if not _ID.fullmatch(what):
        raise NnlabError(f"{what}: there is no such run directory, and a run's id has 32 hex digits")
    key = store.key(store.uri(outputs))
    for directory in find(outputs):
        if cursor.read(directory, key).mlflow_run_id == what or run_id(directory) == what:
            return directory
    return None


def run_id(directory: Path) -> str | None:
    """Return the id of a run by its journal's first line; None where there is none, or none that can be read."""
    with contextlib.suppress(NnlabError, FileNotFoundError):  # a damaged journal, of another run perhaps
        header = next((event for event, _ in journal.read_events(directory / journal.NAME)), {})
        return header.get("run_id")
    return None


def note(outputs: Path, directory: Path) -> None:
    """Remember a run whose directory is not where ``find`` looks (``hydra.run.dir=...``)."""
    directory = directory.resolve()
    parts = directory.relative_to(outputs).parts if directory.is_relative_to(outputs) else ("",)
    if (parts[0], len(parts)) not in {("runs", 2), ("sweeps", 2), ("sweeps", 3)}:
        outputs.mkdir(parents=True, exist_ok=True)
        with (outputs / _ELSEWHERE).open("a", encoding="utf-8") as file:
            file.write(f"{directory}\n")


def _by_number(path: Path) -> tuple[str, int, str]:
    name = path.parent.name
    return str(path.parent.parent), int(name) if name.isdecimal() else -1, name
