"""Earning: training an experiment's seeds, each protocol as a sweep of its own, and going on where it was left."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab import environment, journal, paths, runner
from nnlab.build import load
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.hashing import code_version
from nnlab.journal import NAME, Journal, Record
from nnlab.reproduction.claims import Figure, Protocol, Reached, Verdict, judge, reached
from nnlab.reproduction.experiments import Experiment
from nnlab.reproduction.workers import train_all
from nnlab.tracking import follower

_DECIDING = ("python", "packages", "system", "cpu", "blas")
"""Facts of a run that must be today's for it to count."""


@dataclass(frozen=True)
class Earned:
    """One figure of an experiment, re-earned.

    Attributes:
        figure: with its claim.
        reached: by the runs that have the metric; None if none has.
        failed: how many runs did not finish.
        verdict: on it.
    """

    figure: Figure
    reached: Reached | None
    failed: int
    verdict: Verdict


@dataclass(frozen=True)
class Row:
    """One protocol of an experiment, re-earned.

    Attributes:
        experiment: whose.
        protocol: of it.
        is_honest: whether it is the one beside the source's own.
        earned: its figures.
        seconds: from start to end of training, waits between attempts left out.
        sweep: the directory with its runs.
        failures: one line a run that failed.
    """

    experiment: Experiment
    protocol: Protocol
    is_honest: bool
    earned: list[Earned]
    seconds: float
    sweep: Path
    failures: list[str]


def earn(experiment: Experiment, name: str, protocol: Protocol, todo: Sequence[Job], sweep: Path) -> Row:
    """Train what is missing of a protocol's runs in a sweep's directory, and judge its figures.

    A run that is there counts if it has finished with the same configuration, data, code, versions and threads as it
    would have now; the directory is added to, never changed.

    Args:
        experiment: whose.
        name: of the sweep.
        protocol: of the experiment.
        todo: its jobs.
        sweep: directory.

    Raises:
        NnlabError: it can't be trained, or another process is at it.
        KeyboardInterrupt: on Ctrl-C, when the records are closed.
    """
    runner.check(todo[0])
    parent = _open(sweep, name, experiment, protocol, todo[0])
    try:
        run_id = journal.read(sweep).run["run_id"]
        records = _records(sweep, todo)
        missing = [job for job in todo if not _has_finished(records.get(job.config.seed))]
        if missing:
            directories = [_unused(sweep, job.config.seed) for job in missing]
            names = [f"{name} seed={job.config.seed}" for job in missing]
            train_all(missing, directories, names, run_id, f"{name}  {len(missing)} runs", environment.facts()["cores"])
            records = _records(sweep, todo)
        row = _row(experiment, protocol, sweep, [records[job.config.seed] for job in todo])
        parent.write("tags", tags={f"nnlab.verdict.{each.figure.name}": each.verdict for each in row.earned})
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        parent.close("KILLED" if killed else "FAILED", "interrupted" if killed else str(error))
        raise
    parent.close("FAILED" if row.failures else "FINISHED", "; ".join(row.failures)[:5000] or None)
    return row


def _open(sweep: Path, name: str, experiment: Experiment, protocol: Protocol, job: Job) -> Journal:
    """Open the sweep's own journal, the parent run in MLflow; a new one gets its first lines."""
    config = job.config
    is_new = not journal.whole_lines(sweep / NAME) if (sweep / NAME).exists() else True
    parent = Journal(sweep)
    if is_new:
        run_id = uuid.uuid4().hex
        parent.write(
            "run",
            run_id=run_id,
            name=f"{name}: {len(protocol.seeds)} seeds",
            experiment=config.experiment_name,
            parent=None,
            user=environment.user(),
            tracking={"max_points": config.tracking.max_points} if config.tracking.enabled else None,
            environment=environment.facts(),
            overrides=list(job.overrides[:-1]),
            swept=["seed"],
            jobs=len(protocol.seeds),
            tags={"nnlab.kind": "reproduction", "nnlab.sweep": run_id, **environment.git_tags()},
        )
        claimed = {f"claim.{figure.name}": figure.value for figure in protocol.figures if figure.value is not None}
        parent.write("params", params={"experiment": experiment.name, "protocol": protocol.protocol, **claimed})
    if config.tracking.enabled:
        follower.ensure(paths.outputs_dir(), [sweep])
    return parent


def _records(sweep: Path, todo: Sequence[Job]) -> dict[int, Record]:
    """Return the newest record of each seed whose run was made as it would be made now."""
    config = todo[0].config
    data_hash = load(config.dataset, config.training.dtype)[0].data_hash
    facts = environment.facts()
    with environment.blas_threads(config.training.blas_threads) as threads:
        wanted = {job.config.config_hash(threads): job.config.seed for job in todo}
    found: dict[int, Record] = {}
    for path in sorted(sweep.glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime):
        record = journal.read(path.parent)
        tags = record.run.get("tags", {})
        if (
            tags.get("nnlab.config_hash") in wanted
            and tags.get("nnlab.code_version") == code_version()
            and record.run["dataset"]["hash"] == data_hash
            and all(record.run["environment"].get(key) == facts[key] for key in _DECIDING)
        ):
            found[wanted[tags["nnlab.config_hash"]]] = record
    return found


def _has_finished(record: Record | None) -> bool:
    return record is not None and record.status == "FINISHED"


def _unused(sweep: Path, seed: int) -> Path:
    """Return the directory of a seed's next attempt: ``7``, and once that was interrupted ``7.1``."""
    attempts = (f"{seed}.{attempt}" if attempt else str(seed) for attempt in range(10_000))
    return next(sweep / name for name in attempts if not (sweep / name).exists())


def _row(experiment: Experiment, protocol: Protocol, sweep: Path, records: Sequence[Record]) -> Row:
    finished = [record for record in records if _has_finished(record)]
    failures = [f"{record.directory.name}: {record.reason}" for record in records if not _has_finished(record)]
    earned = []
    for figure in protocol.figures:
        values = [value for record in finished if (value := _value(record, figure)) is not None]
        if finished and len(values) < len(finished):
            known = ", ".join(sorted(finished[0].metrics))
            raise NnlabError(
                f"{experiment.path}: claim: its runs have no {figure.name}; there are epochs 0 to "
                f"{max(finished[0].steps)} and {known}"
            )
        of = reached(values) if values else None
        earned.append(Earned(figure, of, len(failures), judge(figure, of, len(failures))))
    is_honest = protocol is experiment.claim.honest
    return Row(experiment, protocol, is_honest, earned, _seconds(records), sweep, failures)


def _value(record: Record, figure: Figure) -> float | None:
    if figure.epoch is None:
        return record.metrics.get(figure.metric)
    return record.steps.get(figure.epoch, {}).get(figure.metric)


def _seconds(records: Sequence[Record]) -> float:
    """Return the time that some run was at work: those of a stack train at the same time."""
    spans = sorted((record.run["timestamp"], record.ended) for record in records)
    total, until = 0, 0
    for start, end in spans:
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total / 1000
