"""Mirrored: what MLflow's sqlite file has of each journal, compared without nnlab and without MLflow."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

JOURNAL = "journal.jsonl"
_WHOLE, _POINTS = 1000, 320  # epochs of a run that is mirrored whole; points of a metric of a longer one
_INF = 1.7976931348623157e308

_Key = tuple[str, int, int]  # name, step, timestamp


def journals(outputs: Path) -> list[Path]:
    """Return the directories of an outputs root that have a journal."""
    return [
        path.parent for level in ("runs/*", "sweeps/*", "sweeps/*/*") for path in outputs.glob(f"{level}/{JOURNAL}")
    ]


def lines(directory: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal."""
    return [json.loads(line) for line in (directory / JOURNAL).read_bytes().split(b"\n")[:-1]]


def dump(store: Path) -> dict[str, list[str]]:
    """Return every row of every table of a store, sorted."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as opened:
        tables = [name for (name,) in opened.execute("select name from sqlite_master where type = 'table'")]
        return {name: sorted(map(repr, opened.execute(f'select * from "{name}"'))) for name in tables}  # noqa: S608


def problems(store: Path, directories: Sequence[Path]) -> Iterator[str]:
    """Yield what is missing, too much or different in a store that should have some runs, and no others, whole."""
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as opened:
        if (state := opened.execute("pragma integrity_check").fetchall()) != [("ok",)]:
            yield f"{store.name}: {state}"
        runs = dict(opened.execute("select value, run_uuid from tags where key = 'nnlab.run_id'"))
        (count,) = opened.execute("select count(*) from runs").fetchone()
        begun = {each: events for each in directories if (events := lines(each))}
        if count != len(runs) or len(runs) != len(begun):
            yield f"{count} runs in MLflow, {len(runs)} of them with an id, of {len(begun)} journals"
        for directory, events in begun.items():
            run = runs.get(events[0]["run_id"])
            wrong = (
                [f"{events[0]['run_id']} is not in MLflow"] if run is None else _of_run(opened, run, events, directory)
            )
            yield from (f"{directory.name}: {each}" for each in wrong)


def _of_run(store: sqlite3.Connection, run: str, events: Sequence[Mapping[str, Any]], directory: Path) -> Iterator[str]:
    """Yield what is wrong with a run."""
    yield from _metrics(store, run, events)
    params = {name: value for event in events if event["type"] == "params" for name, value in event["params"].items()}
    found = dict(store.execute("select key, value from params where run_uuid = ?", (run,)))
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    if found != texts:
        yield f"params differ: {sorted({*found.items()} ^ {*texts.items()})[:2]}"
    tags = dict(store.execute("select key, value from tags where run_uuid = ?", (run,)))
    later = [event["tags"] for event in events if event["type"] == "tags"]
    for name, text in {name: text for each in [events[0]["tags"], *later] for name, text in each.items()}.items():
        if tags.get(name) != text[:5000]:
            yield f"the tag {name} is {tags.get(name)!r}, not {text!r}"
    last = events[-1]
    is_closed = last["type"] == "status"
    status, reason = (last["status"], last["reason"]) if is_closed else ("KILLED", tags.get("nnlab.reason", ""))
    (in_store, uri) = store.execute("select status, artifact_uri from runs where run_uuid = ?", (run,)).fetchone()
    if (in_store, tags.get("nnlab.reason")) != (status, reason):
        yield f"it is {in_store} ({tags.get('nnlab.reason')}), not {status} ({reason})"
    yield from _artifacts(Path(unquote(urlparse(uri).path)), events, directory)


def _metrics(store: sqlite3.Connection, run: str, events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    journalled: dict[_Key, float] = {}
    for event in events:
        for name, value in event.get("metrics", {}).items():
            journalled[name, event["step"], event["timestamp"]] = float(value)
    rows = Counter[_Key]()
    query = "select key, step, timestamp, value, is_nan from metrics where run_uuid = ?"
    for name, step, timestamp, value, is_nan in store.execute(query, (run,)):
        key = (name, step, timestamp)
        rows[key] += 1
        should = journalled.get(key)
        if should is None:
            yield f"{key} is in MLflow, and was never journalled"
        elif not (is_nan and math.isnan(should)) and value != max(-_INF, min(_INF, should)):
            yield f"{key} is {value}, not {should}"
    doubled = [key for key, count in rows.items() if count > 1]
    if doubled or len({key[:2] for key in rows}) != len(rows):
        yield f"{len(rows) - len({key[:2] for key in rows})} points again, {doubled[:1]}"
    if events[0].get("epochs", 0) <= _WHOLE:
        if missing := sorted(journalled.keys() - rows.keys()):
            yield f"{len(missing)} of {len(journalled)} points are missing, {missing[0]} first"
    else:
        yield from _thinned(journalled, rows.keys(), events[0]["epochs"], events[0].get("eval_every", 1))


def _thinned(journalled: Mapping[_Key, float], found: Iterable[_Key], epochs: int, every: int) -> Iterator[str]:
    """Yield what is wrong with the points of a long run: evenly spaced, the first, the last and the best among them."""
    losses = {step: value for (name, step, _), value in journalled.items() if name == "val/loss"}
    best = {min(losses, key=losses.__getitem__)} if losses else set()
    found = [*found]
    for name in {key[0] for key in journalled}:
        should = {step for of, step, _ in journalled if of == name}
        steps = {step for of, step, _ in found if of == name}
        if missing := ({min(should), max(should)} | (best & should)) - steps:
            yield f"{name}: the first, the last or the best epoch is missing: {sorted(missing)}"
        if len(steps) > _POINTS + 1:  # the last one of a run that was killed is an additional one
            yield f"{name}: {len(steps)} points"
        ordered = sorted(steps)
        widest = max((after - before for before, after in itertools.pairwise(ordered)), default=0)
        if widest > epochs / (_POINTS - 2) + every + 1:
            yield f"{name}: a gap of {widest} epochs"


def _artifacts(folder: Path, events: Sequence[Mapping[str, Any]], directory: Path) -> Iterator[str]:
    """Yield which files of a run are not in MLflow as they are in its directory, and which epochs the history lacks."""
    gone = {event["path"] for event in events if event["type"] == "pruned"}
    for artifact in {event["path"] for event in events if event["type"] == "artifact"} - gone:
        local = directory / artifact
        for file in [path for path in local.rglob("*") if path.is_file()] if local.is_dir() else [local]:
            copy = folder / file.relative_to(directory)
            if not copy.is_file() or _hash(copy) != _hash(file):
                yield f"{file.relative_to(directory)} is not among its artifacts"
    epochs: dict[int, dict[str, float]] = {}
    for event in events:
        values = event.get("metrics", {})
        own = {
            name: float(value)
            for name, value in values.items()
            if name.split("/")[0] not in ("final", "best", "update")
        }
        if own:
            epochs.setdefault(event["step"], {}).update(own)
    if not epochs:
        return
    history = folder / "history.csv"
    if not history.is_file():
        yield "history.csv is not among its artifacts"
        return
    with history.open(newline="", encoding="utf-8") as file:
        rows = {
            int(row.pop("epoch")): {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        }
    if repr(sorted(rows.items())) != repr(sorted((epoch, _in_order(values, rows)) for epoch, values in epochs.items())):
        yield f"history.csv has {len(rows)} epochs, the journal {len(epochs)}, or other values"


def _in_order(values: Mapping[str, float], rows: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Return values in the order of a table's columns, so that their texts can be compared."""
    order = list(dict.fromkeys(name for row in rows.values() for name in row))
    return {name: values[name] for name in sorted(values, key=lambda name: order.index(name) if name in order else -1)}


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
