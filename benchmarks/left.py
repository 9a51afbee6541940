"""Left: what a run has left behind, read without nnlab, and how it differs from what another one has left."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.sweeps import stored
from benchmarks.sweeps.stored import Row

JOURNAL = "journal.jsonl"
_CLOCKED = "time/"
_SAME = ("config.yaml", "compare.csv")  # further files that must have the same bytes


@dataclass(frozen=True)
class Left:
    """A run's directory.

    Attributes:
        run_id: nnlab's; None if the journal has not begun.
        status: RUNNING as long as somebody holds the journal's lock, else as the last line says: None if that is none.
        reason: of the status.
        checkpoints: path -> SHA-256 of each file in ``checkpoints``, hidden ones too, and of ``_SAME``.
        files: the other ones, without hidden ones and ``uncommitted.diff``, which git decides.
        numbers: step and name -> the values that the journal has, as it has them; there should be one.
        history: lines of ``history.csv``, without the clock's columns.
        rows: MLflow's metrics.
    """

    run_id: str | None
    status: str | None
    reason: str | None
    checkpoints: Mapping[str, str]
    files: frozenset[str]
    numbers: Mapping[tuple[int, str], list[Any]]
    history: list[dict[str, str]]
    rows: Counter[Row] = field(default_factory=Counter)


def begun(outputs: Path) -> list[Path]:
    """Return the directories of lone runs and sweeps, the oldest first."""
    return sorted((*outputs.glob("runs/*/"), *outputs.glob("sweeps/*/")), key=lambda each: each.name)


def records(directory: Path) -> dict[str, Path]:
    """Return the directories with a journal, of a lone run as ``run``, of a sweep as ``sweep``, ``job 0``, ..."""
    own = "run" if directory.parent.name == "runs" else "sweep"
    found = {own: directory} if (directory / JOURNAL).is_file() else {}
    return found | {f"job {path.parent.name}": path.parent for path in sorted(directory.glob(f"*/{JOURNAL}"))}


def recorded(outputs: Path) -> int:
    """Return the bytes of the journals of all runs, sweeps' own left out."""
    paths = (*outputs.glob(f"runs/*/{JOURNAL}"), *outputs.glob(f"sweeps/*/*/{JOURNAL}"))
    return sum(path.stat().st_size for path in paths)


def read(directory: Path) -> Left:
    """Read a run's directory."""
    events = lines(directory)
    numbers: dict[tuple[int, str], list[Any]] = {}
    for event in events:
        for name, value in event.get("metrics", {}).items():
            numbers.setdefault((event["step"], name), []).append(value)
    last = events[-1] if events else {}
    status = "RUNNING" if is_locked(directory / JOURNAL) else last.get("status")
    checkpoints, files = {}, set()
    for path in (path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory)
        if name.parts[0] == "checkpoints" or name.as_posix() in _SAME:
            checkpoints[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not any(part.startswith(".") for part in name.parts) and name.name != "uncommitted.diff":
            files.add(name.as_posix())
    run_id = next((event["run_id"] for event in events if event["type"] == "run"), None)
    history = _history(directory / "history.csv")
    return Left(run_id, status, last.get("reason"), checkpoints, frozenset(files), numbers, history)


def lines(directory: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal."""
    whole = (directory / JOURNAL).read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in whole]


def rows(outputs: Path, run_id: str | None) -> Counter[Row]:
    """Return the metrics that MLflow has of a run, their values without those of the clock."""
    ids = [run.run_id for run in stored.runs(outputs) if run.tags.get("nnlab.run_id") == run_id]
    metrics = stored.metrics(outputs).get(ids[0], Counter[Row]()) if len(ids) == 1 else Counter[Row]()
    return Counter(
        {(key, step, None if key.startswith(_CLOCKED) else value): n for (key, step, value), n in metrics.items()}
    )


def differences(expected: Left, found: Left) -> list[str]:
    """Return what is wrong with what a run has left that should be as another one's; what the clock says is not."""
    wrong = [] if found.status == expected.status else [f"it is {found.status}"]
    wrong += _compared("checkpoints", expected.checkpoints, found.checkpoints)
    wrong += _compared("files", dict.fromkeys(expected.files), dict.fromkeys(found.files))
    doubled = [key for key, values in found.numbers.items() if len(values) > 1]
    wrong += [f"{len(doubled)} numbers twice, {doubled[0]} first"] if doubled else []
    wrong += _compared("numbers", _timeless(expected.numbers), _timeless(found.numbers))
    wrong += [] if expected.history == found.history else ["history.csv is different"]
    wrong += _compared("rows in MLflow", expected.rows, found.rows)
    return wrong


def _timeless(numbers: Mapping[tuple[int, str], list[Any]]) -> dict[tuple[int, str], str]:
    return {key: "" if key[1].startswith(_CLOCKED) else repr(values[0]) for key, values in numbers.items()}


def _history(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if not name.startswith(_CLOCKED)}
            for row in csv.DictReader(file)
        ]


def is_locked(path: Path) -> bool:
    """Say whether some process holds the lock of a file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _compared(what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> list[str]:
    """Return a line that counts what is missing, too much and different, with an example; none if nothing is."""
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key] != expected[key]]
    parts = [
        f"{len(keys)} {word} ({keys[0]})"
        for keys, word in ((missing, "missing"), (extra, "too many"), (other, "different"))
        if keys
    ]
    return [f"{what}: {', '.join(parts)}"] if parts else []
