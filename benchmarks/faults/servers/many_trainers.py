"""Many trainers: started at once where there is no store yet, each of them naming the same places another way."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults import mirrored
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.sweeps import processes

_TRAINERS, _SHORT = 16, 4
_SECONDS = 600.0
_RUN = ("architecture.hidden_sizes=[6]", "training.batch_size=null", "training.epochs=40", "tracking.wait_seconds=300")
_BAD = ("Traceback", "is locked", "Error", "not mirrored", "giving up")


@dataclass(frozen=True)
class Round:
    """What some trainers share.

    Attributes:
        number: of the round.
        layout: ``one root`` with the store in it, ``two roots`` with the store in the first, ``own store`` elsewhere.
        trainers: how many.
        seed: of what is drawn.
    """

    number: int
    layout: str
    trainers: int
    seed: int


_LAYOUTS = ("one root", "one root", "two roots", "own store")


def inject(effort: Effort) -> Found:
    """Start them, wait for them, and count what is in the store."""
    draw, times = effort.draw(), effort.times or 20
    trainers = _TRAINERS if times > 1 else _SHORT
    rounds = [
        Round(number, _LAYOUTS[number % len(_LAYOUTS)], trainers, draw.randrange(2**31)) for number in range(times)
    ]
    seen, spellings = Counter[str](), Counter[str]()

    def trial(case: Round) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="nnlab-many-", ignore_cleanup_errors=True) as folder:
            yield from _round(case, Path(folder).resolve(), seen, spellings)

    found = each(trial, rounds, replace(effort, jobs=1))  # they are many already
    layouts = Counter(case.layout for case in rounds)
    found.notes += [
        f"{seen['trainers']} trainers in {', '.join(f'{count} x {name}' for name, count in layouts.items())}; "
        f"{len(spellings)} ways of naming outputs root, store and current directory.",
        f"{seen['schemas']} schemas were made in {len(rounds)} rounds, by the files that were seen; "
        f"{seen['too late']} trackers found another one at work and left.",
        f"{seen['rows']:,} metric rows of {seen['runs']} runs are what the journals have, each once; a round took "
        f"{seen['seconds'] / len(rounds):.0f} s.",
    ]
    return found


def _round(case: Round, folder: Path, seen: Counter[str], spellings: Counter[str]) -> Iterator[str]:
    draw = random.Random(case.seed)
    lab = folder / draw.choice(["lab", "a lab", "100% l\u00e4b"])
    roots = [lab / "outputs", *([lab / "second"] if case.layout == "two roots" else [])]
    store = folder / "new" / "ours.db" if case.layout == "own store" else roots[0] / "mlflow.db"
    (lab / "sub").mkdir(parents=True)
    (folder / "link").symlink_to(lab)
    clock = time.monotonic()
    made, is_over = set[int](), threading.Event()
    watch = threading.Thread(target=_watch, args=(store, made, is_over))
    watch.start()
    trainers: list[subprocess.Popen[str]] = []
    try:
        for number in range(case.trainers):
            root = roots[number % len(roots)]
            place, own = _spelt(draw, folder, lab, root, store, may_be_unset=store.parent == root)
            spellings[f"{place} {own}".replace(str(folder), "").replace(lab.name, "lab")] += 1
            trainers.append(_start(number, place, own))
        outputs = [_ended(trainer) for trainer in trainers]
    finally:
        for trainer in trainers:
            trainer.kill()
            trainer.wait()
        for root in roots:
            processes.kill(root)
        is_over.set()
        watch.join()
    seen["schemas"] += len(made)
    if len(made) != 1:
        yield f"{len(made)} schemas were made"
    seen["seconds"] += round(time.monotonic() - clock)
    seen["trainers"] += len(trainers)
    for trainer, output in zip(trainers, outputs, strict=True):
        if trainer.returncode or "mirrored into MLflow" not in output or _bad(output):
            yield f"a trainer ended with {trainer.returncode}: {output[-150:]}"
    yield from _logs(roots, seen)
    yield from _places(folder, roots, store, may_have_mlruns=case.layout != "one root")
    yield from _store(store, roots, seen, case)


def _spelt(
    draw: random.Random, folder: Path, lab: Path, root: Path, store: Path, *, may_be_unset: bool
) -> tuple[Path, dict[str, str]]:
    """Return a current directory, and variables that name outputs root and store in some way."""
    here = draw.choice([lab, folder, lab / "sub"])

    def ways(path: Path) -> list[str]:
        relative = os.path.relpath(path, here)
        inside = path.relative_to(lab) if path.is_relative_to(lab) else Path("..") / path.relative_to(folder)
        linked = folder / "link" / inside if path.is_relative_to(lab) else path
        return [str(path), relative, f"./{relative}", str(lab / "sub" / ".." / inside), str(linked)]

    own = {"NNLAB_OUTPUTS": draw.choice(ways(root)) + draw.choice(["", "/"])}
    if here == lab and root.name == "outputs" and draw.random() < 0.5:
        own = {}
    named = draw.choice(ways(store)).replace("%", "%25").replace("?", "%3F")
    if not (may_be_unset and draw.random() < 0.4):
        own["MLFLOW_TRACKING_URI"] = f"{draw.choice(['sqlite', 'sqlite', 'sqlite+pysqlite'])}:///{named}"
    return here, own


def _start(number: int, here: Path, own: dict[str, str]) -> subprocess.Popen[str]:
    usual = {name: text for name, text in os.environ.items() if name not in ("NNLAB_OUTPUTS", "MLFLOW_TRACKING_URI")}
    dataset = "circles" if number % 4 == 3 else "moons"
    return subprocess.Popen(
        [sys.executable, "-m", "nnlab", "train", *_RUN, f"dataset={dataset}", f"seed={number}"],
        cwd=here,
        env={**usual, **own, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _ended(trainer: subprocess.Popen[str]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return trainer.communicate(timeout=_SECONDS)[0]
    trainer.kill()
    return f"it has not ended after {_SECONDS:g} s: {trainer.communicate()[0]}"


def _watch(store: Path, made: set[int], is_over: threading.Event) -> None:
    """Note each file that is made as the store, under its own name or the one that it has until it is whole."""
    while not is_over.wait(0.01):  # making one takes seconds
        for path in (store, store.with_name(f".{store.name}.new")):
            with contextlib.suppress(FileNotFoundError):
                made.add(path.stat().st_ino)


def _bad(text: str) -> str | None:
    return next((line for line in text.splitlines() if any(word in line for word in _BAD)), None)


def _logs(roots: list[Path], seen: Counter[str]) -> Iterator[str]:
    """Yield what is wrong with what the trackers had to say."""
    for root in roots:
        logs, locks = [*root.glob(".tracker-*.log")], [*root.glob(".tracker-*.lock")]
        if len(logs) != 1 or len(locks) != 1:
            yield f"{root.name} has {len(locks)} places for trackers, not 1"
        for log in logs:
            text = log.read_text()
            seen["too late"] += text.count("another tracker is at work")
            if line := _bad(text):
                yield f"{log.name}: {line}"


def _places(folder: Path, roots: list[Path], store: Path, *, may_have_mlruns: bool) -> Iterator[str]:
    """Yield what lies where nothing should be."""
    stores = {*folder.rglob("*.db"), *folder.rglob("*.db.new*")} - {root / "index.db" for root in roots}
    if stores != {store}:
        yield f"there are {[str(path.relative_to(folder)) for path in stores]}"
    outputs = {path.parents[2] for path in folder.rglob(mirrored.JOURNAL)}
    if outputs != {*roots}:
        yield f"outputs are in {[str(path.relative_to(folder)) for path in outputs]}"
    if not may_have_mlruns and [*folder.rglob("mlruns")]:
        yield "there is a folder mlruns"


def _store(store: Path, roots: list[Path], seen: Counter[str], case: Round) -> Iterator[str]:
    """Yield what is wrong with what is in the store."""
    directories = [directory for root in roots for directory in mirrored.journals(root)]
    if len(directories) != case.trainers:
        yield f"{len(directories)} journals"
    yield from mirrored.problems(store, directories)
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as opened:
        (versions,) = opened.execute("select count(*) from alembic_version").fetchone()
        experiments = [name for (name,) in opened.execute("select name from experiments order by name")]
        finished = dict(opened.execute("select status, count(*) from runs group by status"))
        (rows,) = opened.execute("select count(*) from metrics").fetchone()
    if versions != 1 or experiments != ["Default", "nnlab-circles", "nnlab-moons"]:
        yield f"{versions} schema versions, experiments {experiments}"
    if finished != {"FINISHED": case.trainers}:
        yield f"runs are {finished}"
    points = sum(len(event.get("metrics", ())) for each in directories for event in mirrored.lines(each))
    if rows != points:
        yield f"{rows} metric rows of {points} points"
    seen["rows"] += rows
    seen["runs"] += len(directories)


FAULT = Fault(
    "16 trainers started at once on a fresh store, relative and absolute paths mixed",
    "0 errors, exact counts, `PRAGMA integrity_check` ok, one schema creation",
    inject,
    times=20,
    short=1,
)
