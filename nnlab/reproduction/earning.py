"""Earning: training an experiment's seeds, each protocol as a sweep of its own, and going on where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab import environment, journal
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.journal import Journal, Record
from nnlab.reproduction import attempts
from nnlab.reproduction.claims import Figure, Protocol, Reached, Verdict, judge, reached
from nnlab.reproduction.experiments import Experiment
from nnlab.sweep.parent import open_parent
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.workers import Task, train_all


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

    def __str__(self) -> str:
        """Return reached and claimed in words, and the verdict."""
        of, shown = self.reached, self.figure.shown
        what = f"reached {shown(of.mean)}" if of else "reached by no run"
        if of and of.low is not None and of.high is not None:
            what += f" (95 % {shown(of.low)} to {shown(of.high)}, n = {len(of.values)})"
        return f"{what}{f', claimed {self.figure.claimed}' if self.figure.claimed else ''}: {self.verdict}"


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
    parent = _open(sweep, name, experiment, protocol, todo[0])
    try:
        run_id = journal.read(sweep).run["run_id"]
        records = _by_seed(sweep, todo)
        missing = [job for job in todo if not attempts.has_finished(records.get(job.config.seed))]
        if missing:
            seeds = [job.config.seed for job in missing]
            tasks = [
                Task(seed, job, attempts.unused(sweep, seed), f"{name} seed={seed}")
                for seed, job in zip(seeds, missing, strict=True)
            ]
            with SweepProgress(sweep, name) as progress:
                train_all(tasks, parent=run_id, progress=progress)
            records = _by_seed(sweep, todo)
        if lost := [job.config.seed for job in todo if job.config.seed not in records]:
            raise NnlabError(
                f"{sweep}: code or data were changed while seed {lost[0]} trained; run the same command again",
                exit_code=1,
            )
        row = _row(experiment, protocol, sweep, [records[job.config.seed] for job in todo])
        parent.write("tags", tags={f"nnlab.verdict.{each.figure.name}": str(each) for each in row.earned})
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        parent.close("KILLED" if killed else "FAILED", "interrupted" if killed else str(error))
        raise
    parent.close("FAILED" if row.failures else "FINISHED", "; ".join(row.failures)[:5000] or None)
    return row


def _by_seed(sweep: Path, todo: Sequence[Job]) -> dict[int, Record]:
    with environment.blas_threads(todo[0].config.training.blas_threads or 1):  # as workers do where it is left open
        return attempts.by_seed(sweep, todo)


def _open(sweep: Path, name: str, experiment: Experiment, protocol: Protocol, job: Job) -> Journal:
    """Open the sweep's own journal, the parent run in MLflow, which carries what is claimed."""
    claimed = {f"claim.{figure.name}": figure.value for figure in protocol.figures if figure.value is not None}
    return open_parent(
        sweep,
        job.config,
        kind="reproduction",
        name=f"{name}: {len(protocol.seeds)} {'seeds' if len(protocol.seeds) > 1 else 'seed'}",
        overrides=job.overrides[:-1],
        swept=["seed"],
        jobs=len(protocol.seeds),
        params={"experiment": experiment.name, "protocol": protocol.protocol, **claimed},
    )


def _row(experiment: Experiment, protocol: Protocol, sweep: Path, records: Sequence[Record]) -> Row:
    finished = [record for record in records if attempts.has_finished(record)]
    failures = [f"{record.directory.name}: {record.reason}" for record in records if not attempts.has_finished(record)]
    earned = []
    for figure in protocol.figures:
        values = [value for record in finished if (value := _value(record, figure)) is not None]
        unfinished = len(records) - len(values)  # or ended before that epoch
        of = reached(values) if values else None
        earned.append(Earned(figure, of, unfinished, judge(figure, of, unfinished)))
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
