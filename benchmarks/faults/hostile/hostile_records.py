"""Hostile records: journals and what lies beside them, in an outputs root that somebody else has written to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.hostile import scene as at
from benchmarks.faults.hostile.hostile_case import Hostile, compare, compare_all, history, reproduce, resume, sync
from benchmarks.faults.hostile.scene import Scene

_READERS = (compare, history, reproduce, sync)

_LINES: dict[str, bytes] = {
    "nested": b"[" * 200_000,
    "nested events": b'{"type": "tags", "timestamp": 1, "tags": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "a number of 10,000 digits": b'{"type": "metrics", "timestamp": 1, "step": 1, "metrics": {"a": '
    + b"9" * 10_000
    + b"}}",
    "no text": b"\xff\xfe\x00",
    "a list": b"[1]",
    "a null byte": b"\0",
}
_EVENTS: dict[str, dict[str, Any]] = {
    "a step that is text": {"type": "metrics", "step": "x", "metrics": {"val/loss": 1.0}},
    "a step that is a list": {"type": "metrics", "step": [], "metrics": {"val/loss": 1.0}},
    "a step beyond all numbers": {"type": "metrics", "step": 10**30, "metrics": {"val/loss": 1.0}},
    "metrics that are text": {"type": "metrics", "step": 1, "metrics": "x"},
    "a metric that is a list": {"type": "metrics", "step": 1, "metrics": {"val/loss": [1]}},
    "params that are a list": {"type": "params", "params": [1]},
    "params that are nested": {"type": "params", "params": {"a": {"b": {"c": 1}}}},
    "tags that are a number": {"type": "tags", "tags": 1},
    "a tag that is a number": {"type": "tags", "tags": {"a": 1}},
    "an artifact that is a number": {"type": "artifact", "path": 1},
    "a status of its own": {"type": "status", "status": "x", "reason": None},
    "a reason that is a list": {"type": "status", "status": "FAILED", "reason": [1]},
    "a time beyond all numbers": {"type": "tags", "timestamp": 10**30, "tags": {}},
    "a time that is text": {"type": "tags", "timestamp": "x", "tags": {}},
    "an event's type that is a list": {"type": [], "tags": {}},
}
_HEADERS: dict[str, dict[str, Any]] = {
    "a name that is a list": {"name": [1]},
    "an experiment that leads out": {"experiment": "../../../../private"},
    "an experiment that is a number": {"experiment": 1},
    "tags that are a list": {"tags": [1]},
    "tracking that is a number": {"tracking": 1},
    "points of nonsense": {"tracking": {"max_points": "x"}, "epochs": 10**9},
    "no points": {"tracking": {"max_points": 0}, "epochs": 10**9},
    "epochs that are text": {"epochs": "x", "eval_every": 0},
    "no data set": {"dataset": {}},
    "a data set that is text": {"dataset": "x"},
    "a parent that is itself": {"parent": "x", "run_id": "x"},
    "a run id that queries": {"run_id": "x' OR '1'='1"},
    "a run id that is a list": {"run_id": [1]},
    "a time beyond all numbers": {"timestamp": 10**30},
}
_ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\r\n"


def cases() -> Iterator[Hostile]:
    """Yield them."""
    for name, line in _LINES.items():
        yield Hostile(f"journal: {name}", _line(line), _READERS, is_refused=False)
    for name, event in _EVENTS.items():
        yield Hostile(f"journal: {name}", _event(event), (compare, history, sync), is_refused=False)
    for name, fields in _HEADERS.items():
        yield Hostile(f"journal: {name}", _header(fields), _READERS, is_refused=False)
    yield Hostile("journal: escape sequences everywhere", _escapes, (*_READERS, compare_all), is_refused=False)
    for name, place in _PLACES.items():
        yield Hostile(f"journal: {name}", _artifact(place), (sync,), is_refused=False)
    for name, make_file in _FILES.items():
        yield Hostile(f"artifact: {name}", make_file, (sync,), is_refused=False)
    for name, spoil in _PIPES.items():
        doors = (compare, history, reproduce, resume, compare_all, sync)
        yield Hostile(f"journal: {name}", _journal(spoil), doors, is_refused=False)
    yield Hostile("run: train.log is a link to the user's file", _log, (resume,), is_refused=False)
    yield Hostile("run: history.csv is a link to the user's file", _history, (sync, resume), is_refused=False)
    for name, text in _CURSORS.items():
        yield Hostile(f"cursor: {name}", _cursor(text), (sync,), is_refused=False)
    for name, spoil in {**_PIPES, "text": lambda path: path.write_text("x")}.items():
        yield Hostile(f"index: {name}", _index(spoil), (compare_all,), is_refused=False)
    for name, node in _PLANS.items():
        yield Hostile(f"sweep.json: {name}", _plan(node), (resume, compare), is_refused=False)
    for name in ("environment.json", "uncommitted.diff", ".hydra/config.yaml"):
        yield Hostile(f"run: named pipe as {name}", _beside(name), (reproduce, resume, compare), is_refused=False)


def _event(event: dict[str, Any]) -> Callable[[Scene], object]:
    return lambda scene: scene.add_event(**event)


def _header(fields: dict[str, Any]) -> Callable[[Scene], object]:
    return lambda scene: scene.set_header(**fields)


def _escapes(scene: Scene) -> None:
    texts = {"name": _ESCAPES, "user": _ESCAPES, "experiment": f"a{_ESCAPES}", "overrides": [_ESCAPES]}
    scene.set_header(**texts, tags={"nnlab.code_version": _ESCAPES, _ESCAPES: _ESCAPES})
    scene.add_event(type="params", params={f"a{_ESCAPES}": _ESCAPES, "optimizer": _ESCAPES})
    scene.add_event(type="metrics", step=1, metrics={f"val/{_ESCAPES}": 1.0})
    last = json.loads(scene.journal.read_bytes().splitlines()[-1])
    scene.journal.write_bytes(scene.journal.read_bytes() + json.dumps({**last, "reason": _ESCAPES}).encode() + b"\n")


_PLACES = {
    "an artifact that leads out": "../../../private/secret.txt",
    "an absolute artifact": "%SECRET%",
    "an artifact that is the outputs root": "..",
    "an artifact with a null byte": "a\0b",
    "an artifact of a long name": "x" * 5000,
    "an artifact that is this folder": ".",
}


def _artifact(place: str) -> Callable[[Scene], object]:
    return lambda scene: scene.add_event(type="artifact", path=place.replace("%SECRET%", str(scene.secret)))


def _link_plot(scene: Scene) -> None:
    at.link(next((scene.run / "plots").glob("*.png")), scene.secret)


def _link_plots(scene: Scene) -> None:
    at.remove(scene.run / "plots")
    (scene.run / "plots").symlink_to(scene.secret.parent)


def _link_in_checkpoint(scene: Scene) -> None:
    (scene.checkpoint / "extra.npy").symlink_to(scene.secret)


def _link_folder_in_checkpoint(scene: Scene) -> None:
    (scene.checkpoint / "extra").symlink_to(scene.secret.parent)


_FILES: dict[str, Callable[[Scene], object]] = {
    "a plot is a link to a secret": _link_plot,
    "the plots are a link to secrets": _link_plots,
    "a link to a secret in a checkpoint": _link_in_checkpoint,
    "a link to secrets in a checkpoint": _link_folder_in_checkpoint,
    "config.yaml is a link to a secret": lambda scene: at.link(scene.config, scene.secret),
    "a plot is an endless device": lambda scene: at.link(next((scene.run / "plots").glob("*.png")), "/dev/zero"),
    "a plot is a named pipe": lambda scene: at.pipe(next((scene.run / "plots").glob("*.png"))),
    "a named pipe in a checkpoint": lambda scene: at.pipe(scene.checkpoint / "extra.npy"),
}
_PIPES: dict[str, Callable[[Path], object]] = {
    "named pipe": at.pipe,
    "endless device": lambda path: at.link(path, "/dev/zero"),
    "folder": at.folder,
    "link to itself": lambda path: at.link(path, path),
    "a terabyte of nothing": lambda path: at.sparse(path, 2**40),
}


def _log(scene: Scene) -> None:
    scene.interrupt()
    at.link(scene.run / "train.log", scene.secret)


def _history(scene: Scene) -> None:
    scene.interrupt()
    at.link(scene.run / "history.csv", scene.secret)


_CURSORS = {
    "a list": "[1]",
    "nested": "[" * 100_000,
    "behind the end": '{"offset": 99999999999, "mlflow_run_id": "x", "status": "FINISHED", "problem": null}',
    "a negative offset": '{"offset": -5, "mlflow_run_id": "x", "status": "RUNNING", "problem": null}',
    "an offset that is text": '{"offset": "x", "mlflow_run_id": "x", "status": "RUNNING", "problem": null}',
    "a run of another's": '{"offset": 0, "mlflow_run_id": "../../x", "status": "RUNNING", "problem": null}',
    "a problem that is a list": '{"offset": 0, "mlflow_run_id": null, "status": "RUNNING", "problem": [1]}',
}


def _cursor(text: str) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        for path in list(scene.good.parent.parent.glob("outputs/runs/*/.mlflow-*.json")):
            (scene.run / path.name).write_text(text)

    return make


def _index(spoil: Callable[[Path], object]) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        path = scene.folder / "outputs" / "index.db"
        at.remove(path)
        spoil(path)

    return make


_JOB: dict[str, Any] = {
    "number": 0,
    "name": "x",
    "overrides": [],
    "directory": "0",
    "choices": {},
    "config": {},
    "problem": None,
    "stands": None,
    "data_hash": None,
    "hydra": None,
    "raw": {},
    "dirname": "",
}
_PLAN: dict[str, Any] = {
    "version": 1,
    "code_version": "x",
    "given": [],
    "swept": [],
    "launcher": {"_target_": "os.mkdir", "path": "%CANARY%"},
    "hydra": [],
    "jobs": [_JOB],
}
_PLANS: dict[str, Any] = {
    "nested": "[" * 100_000,
    "a list": [1],
    "a launcher of the system's": _PLAN,
    "a job that leads out": {**_PLAN, "jobs": [{**_JOB, "directory": "../../../../private"}]},
    "an absolute job": {**_PLAN, "jobs": [{**_JOB, "directory": "/etc"}]},
    "a job that stands elsewhere": {**_PLAN, "jobs": [{**_JOB, "stands": "../../../../private"}]},
    "escape sequences": {**_PLAN, "swept": [_ESCAPES], "jobs": [{**_JOB, "problem": _ESCAPES}]},
    "a number beyond all numbers": {**_PLAN, "version": 10**40},
    "jobs of nonsense": {**_PLAN, "jobs": [1, None, "x"]},
}


def _plan(node: Any) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        text = node if isinstance(node, str) else json.dumps(node).replace("%CANARY%", str(scene.canary))
        (scene.run / "sweep.json").write_text(text)
        scene.set_header(tags={"nnlab.kind": "sweep"})

    return make


def _beside(name: str) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        scene.interrupt()
        (scene.run / name).parent.mkdir(exist_ok=True)
        if os.path.lexists(scene.run / name):
            (scene.run / name).unlink()
        os.mkfifo(scene.run / name)

    return make


def _line(line: bytes) -> Callable[[Scene], object]:
    return lambda scene: scene.add_line(line)


def _journal(spoil: Callable[[Path], object]) -> Callable[[Scene], object]:
    return lambda scene: spoil(scene.journal)
