"""Divergence: runs that become NaN or Inf, for every activation, loss and optimiser, and in odd places of a run."""

from __future__ import annotations

import math
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import left
from benchmarks.faults import roots
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.warm import Ended, Warm
from nnlab.paths import conf_dir

_RUN = [
    *("dataset=moons", "dataset.samples=60", "architecture.hidden_sizes=[3]", "training.epochs=8"),
    *(
        "training.blas_threads=1",
        "training.eval_every=2",
        "tracking.wait_seconds=0",
        "hydra.launcher.backend=sequential",
    ),
]
_REASON = re.compile(r"epoch (\d+): NaN or Inf in .*layer \d+, \w+")
_LARGEST = 1.7976931348623157e308  # what MLflow has for Inf
_PLACES = {
    "in the first update": ["optimizer.lr=1e38", "activation=relu", "loss=mse"],
    "overflow of float64": ["optimizer.lr=1e300", "training.dtype=float64"],
    "in batch norm": ["optimizer.lr=1e38", "architecture.batch_norm=true"],
    "in the penalty alone": [
        *(
            "training.dtype=float64",
            "initializer=constant",
            "initializer.value=1e200",
            "loss.l2=1",
            "optimizer.lr=1e-9",
        ),
    ],
    "before training": ["initializer=constant", "initializer.value=3e38", "activation=relu"],
    "in the last evaluation alone": [
        *("dataset.split=whole", "activation=identity", "loss=mse", "optimizer.lr=1e15", "training.epochs=1"),
        "training.batch_size=null",
    ],
    "with early stopping": ["training.early_stopping.patience=3", "optimizer.lr=1e30", "activation=relu", "loss=mse"],
    "on a plateau, updates recorded": [
        *(
            "schedule=reduce_on_plateau",
            "training.log_every_updates=1",
            "optimizer.lr=1e30",
            "activation=elu",
            "loss=mse",
        ),
    ],
    "with diagnostics": ["training.diagnostics=[grad_norm,weight_norm,update_ratio,dead_relu]", "optimizer.lr=1e38"],
}
_COMMANDS = (["resume", "--retry-failed"], ["resume"], ["compare"], ["reproduce"], ["evaluate"])
_SHORT = ("in the last evaluation alone", "before training", "overflow of float64")


def inject(effort: Effort) -> Found:
    """Let runs diverge, all in one outputs root, and look at each; then bring them all into MLflow and look there."""
    with roots.root(is_tracked=True) as outputs, tempfile.TemporaryDirectory(prefix="nnlab-diverging-") as folder:
        with Warm(Path(folder), {"NNLAB_OUTPUTS": str(outputs)}) as warm:
            names = list(_PLACES) if effort.times is None else list(_SHORT[: effort.times])
            commands = _COMMANDS if effort.times is None else _COMMANDS[:1]
            found = each(lambda name: _place(warm, outputs, name, commands), names, Effort(None, effort.seed))
            if effort.times is None:
                found += _everywhere(warm, outputs)
                found += each(lambda _: _stack(warm, outputs), ["one of a stack"], Effort(None, effort.seed))
            synced = warm.cold(["sync"], seconds=600)
            if synced.code:
                found.losses.append(f"sync ended with {synced.code}: {synced.err[-200:]}")
        directories = [path.parent for path in sorted(outputs.rglob(left.JOURNAL))]
        found.losses += [problem for directory in directories for problem in _stored(outputs, directory)]
        found.notes.append(f"{len(directories)} records, of which all numbers are in MLflow as they should be there.")
    return found


def _place(warm: Warm, outputs: Path, name: str, commands: Sequence[Sequence[str]]) -> Iterator[str]:
    directory = outputs / "runs" / name.replace(" ", "-").replace(",", "")
    ended = warm.run(["train", *_RUN[:-1], *_PLACES[name], f"hydra.run.dir={directory}"], seconds=60)
    yield from _failed(ended)
    yield from _judged(directory, must_fail=True)
    for command in commands:
        answer = warm.run([*command, str(directory)], seconds=60)
        if "Traceback" in answer.out + answer.err or answer.code is None or len(answer.err.splitlines()) > 1:
            yield f"{' '.join(command)}: exit code {answer.code}: {answer.err[-200:]!r}"


def _everywhere(warm: Warm, outputs: Path) -> Found:
    """A sweep over everything there is, at a learning rate at which nothing can be learnt."""
    found = Found()
    losses, activations, optimizers = (_choices(group) for group in ("loss", "activation", "optimizer"))
    for rate in ("1e6", "1e38"):
        directory = outputs / "sweeps" / rate
        swept = [f"loss={losses}", f"activation={activations}", f"optimizer={optimizers}", f"optimizer.lr={rate}"]
        ended = warm.run(["train", "-m", *_RUN, *swept, f"hydra.sweep.dir={directory}"], seconds=1800)
        if ended.code not in (0, 1) or "Traceback" in ended.out + ended.err:
            found.losses.append(f"lr {rate}: the sweep ended with {ended.code}: {ended.err[-200:]!r}")
        jobs = [path.parent for path in directory.glob(f"*/{left.JOURNAL}")]
        found += each(lambda job: _judged(job, must_fail=False), jobs, Effort(None, 0))
        failed = sum(left.lines(job)[-1].get("status") == "FAILED" for job in jobs)
        if f"{failed} of {len(jobs)} jobs failed" not in ended.err and failed:
            found.losses.append(f"lr {rate}: {failed} of {len(jobs)} failed, and it said {ended.err[-200:]!r}")
        found.notes.append(f"At a learning rate of {rate} {failed} of {len(jobs)} runs became NaN or Inf.")
    return found


def _stack(warm: Warm, outputs: Path) -> Iterator[str]:
    """Of runs that train side by side only the one that diverges fails; the others have the bytes of lone ones."""
    directory = outputs / "sweeps" / "stack"
    common = [*_RUN, "activation=relu", "loss=mse", "checkpoint.every=2"]
    ended = warm.run(["train", "-m", *common, "optimizer.lr=0.1,1e30,0.2", f"hydra.sweep.dir={directory}"], seconds=60)
    if ended.code != 1 or "job 1" not in ended.out:
        yield f"exit code {ended.code}: {ended.err[-200:]!r}"
    for number, rate in ((0, "0.1"), (2, "0.2")):
        lone = outputs / "runs" / f"lone-{number}"
        warm.run(["train", *common[:7], *common[8:], f"optimizer.lr={rate}", f"hydra.run.dir={lone}"], seconds=60)
        yield from left.differences(left.read(lone), left.read(directory / str(number)))
    yield from _judged(directory / "1", must_fail=True)


def _choices(group: str) -> str:
    return ",".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))


def _failed(ended: Ended) -> Iterator[str]:
    lines = ended.err.splitlines()
    if ended.code != 1 or len(lines) != 1 or not _REASON.search(ended.err):
        yield f"exit code {ended.code}: {ended.err[-300:]!r}"


def _judged(directory: Path, *, must_fail: bool) -> Iterator[str]:
    """Yield what is wrong with the record of a run that may have diverged."""
    events = left.lines(directory)
    bad = sorted(
        event["step"]
        for event in events
        for name, value in event.get("metrics", {}).items()
        if name.endswith(("/loss", "_loss", "penalty", "objective")) and not math.isfinite(float(value))
        if not name.startswith("update/")
    )
    status, reason = events[-1].get("status"), events[-1].get("reason")
    if status not in ("FINISHED", "FAILED") or (must_fail and status != "FAILED"):
        yield f"it is {status}"
    if status == "FINISHED" and bad:
        yield f"it is FINISHED, with NaN or Inf in epoch {bad[0]}"
    if status == "FAILED":
        named = _REASON.match(str(reason))
        if named is None:
            yield f"the reason is {reason!r}"
        elif bad and int(named[1]) != bad[0]:
            yield f"NaN or Inf is in epoch {bad[0]}, and the reason says {reason!r}"
        yield from _pictures(directory)
    for path in directory.glob("checkpoints/*/*.npy"):
        if not np.isfinite(np.load(path, allow_pickle=False)).all():
            yield f"{path.parent.name}/{path.name} holds NaN or Inf"


def _pictures(directory: Path) -> Iterator[str]:
    for name in ("loss.png", "accuracy.png"):
        with Image.open(directory / "plots" / name) as image:
            pixels = np.asarray(image.convert("L"))
        if pixels.shape < (100, 100) or pixels.std() < 1:
            yield f"{name} is empty"


def _stored(outputs: Path, directory: Path) -> Iterator[str]:
    """Yield how MLflow's copy of a run differs from its journal, read with nothing but sqlite."""
    events = left.lines(directory)
    run_id, status = events[0]["run_id"], events[-1]["status"]
    expected = {
        (name, event["step"], *_as_stored(value))
        for event in events
        for name, value in event.get("metrics", {}).items()
    }
    with closing(sqlite3.connect(outputs / "mlflow.db")) as store:
        ids = store.execute("select run_uuid from tags where key = 'nnlab.run_id' and value = ?", (run_id,)).fetchall()
        if len(ids) != 1:
            yield f"{directory}: MLflow has {len(ids)} runs of it"
            return
        query = "select key, step, value, is_nan from metrics where run_uuid = ?"
        found = {(key, step, value, bool(is_nan)) for key, step, value, is_nan in store.execute(query, ids[0])}
        (stored,) = store.execute("select status from runs where run_uuid = ?", ids[0]).fetchone()
        reason = store.execute("select value from tags where run_uuid = ? and key = 'nnlab.reason'", ids[0]).fetchone()
    if found != expected:
        yield f"{directory}: {len(found ^ expected)} numbers differ, {sorted(found ^ expected, key=str)[:2]}"
    if stored != status or (reason[0] if reason else None) != events[-1].get("reason"):
        yield f"{directory}: MLflow has {stored}, {reason}"


def _as_stored(value: Any) -> tuple[float, bool]:
    number = float(value)
    if math.isnan(number):
        return 0.0, True
    return (math.copysign(_LARGEST, number) if math.isinf(number) else number), False


FAULT = Fault(
    "Runs become NaN or Inf: every activation, loss and optimiser at rates far too high, and odd places",
    "FAILED, naming epoch and layer; others of its stack untouched; no checkpoint of NaN; plots and MLflow readable",
    inject,
    times=None,
    short=1,
)
