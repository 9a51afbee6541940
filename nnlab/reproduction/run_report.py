"""RunReport: the verdict on a run that was done again, and everything that it rests on."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from nnlab import journal
from nnlab.one_line import one_line
from nnlab.reproduction.circumstances import Changed
from nnlab.reproduction.difference import Checkpoints, Departure, Numbers
from nnlab.reproduction.past import Past
from nnlab.reproduction.predictions import PartChange
from nnlab.terminal import console


class RunVerdict(enum.StrEnum):
    """What became of a run that was done again; see ``judge``."""

    IDENTICAL = "IDENTICAL"
    WITHIN_TOLERANCE = "WITHIN TOLERANCE"
    DIFFERENT = "DIFFERENT"


_STYLES = {RunVerdict.IDENTICAL: "green", RunVerdict.WITHIN_TOLERANCE: "yellow", RunVerdict.DIFFERENT: "red"}


@dataclass(frozen=True)
class RunRef:
    """One of the two runs.

    Attributes:
        shown: its directory, or its place in a store.
        directory: None for a run from a store.
        run_id: nnlab's.
        mlflow_run_id: None if it is not known.
        name: for people.
        status: FINISHED, FAILED or KILLED.
        reason: of it.
    """

    shown: str
    directory: Path | None
    run_id: str
    mlflow_run_id: str | None
    name: str
    status: str
    reason: str | None

    @classmethod
    def of(cls, past: Past) -> RunRef:
        """Return it without its record."""
        directory = past.directory if past.is_local else None
        return cls(past.shown, directory, past.run_id, past.mlflow_run_id, past.name, past.status, past.reason)


@dataclass(frozen=True)
class RunReport:
    """A run that was done again.

    Attributes:
        verdict: on it.
        rtol: the relative tolerance for losses.
        old: the run that was to be reproduced.
        new: the one that was to do it.
        changed: circumstances that are not as they were.
        unknown: circumstances that the old run did not record.
        notes: what else one has to know, a line each.
        numbers: the comparison of all metrics.
        checkpoints: the comparison of the checkpoints.
        predictions: of the two final networks, where they are not the same; empty otherwise.
        tracked: directories of the runs to wait for, if their mirroring is to be waited for.
        wait_seconds: how long.
    """

    verdict: RunVerdict
    rtol: float
    old: RunRef
    new: RunRef
    changed: Sequence[Changed]
    unknown: Sequence[str]
    notes: Sequence[str]
    numbers: Numbers
    checkpoints: Checkpoints
    predictions: Sequence[PartChange]
    tracked: Sequence[Path] = ()
    wait_seconds: float = 0

    @property
    def exit_code(self) -> int:
        """What the command line ends with: 1 for DIFFERENT."""
        return int(self.verdict is RunVerdict.DIFFERENT)


def judge(
    old: Past, new: Past, numbers: Numbers, checkpoints: Checkpoints, predictions: Sequence[PartChange], rtol: float
) -> RunVerdict:
    """Return the verdict.

    IDENTICAL: all numbers are equal, and so is every byte of the arrays of each checkpoint that both runs have; of a
    run that finished that must include the final one. WITHIN TOLERANCE: every loss, penalty and objective, and the
    losses of the two final networks where these differ, are within rtol: |new - old| <= rtol * max(|old|, |new|); as
    many epochs, the same end. DIFFERENT: otherwise. A run that something from outside had cut short, which a new run
    does not meet, is judged as far as it got.
    """
    pairs = [Departure(f"{each.part}/loss", old.last, *each.loss) for each in predictions]
    is_same_end = old.was_cut_short or old.status == new.status
    if not is_same_end or numbers.first_beyond or any(pair.is_beyond(rtol) for pair in pairs if pair.old != pair.new):
        return RunVerdict.DIFFERENT
    is_end_equal = checkpoints.final_equal or old.status != "FINISHED"
    if numbers.unequal or checkpoints.unequal or not is_end_equal:
        return RunVerdict.WITHIN_TOLERANCE
    return RunVerdict.IDENTICAL


def to_json(report: RunReport) -> dict[str, Any]:
    """Return the report as JSON values; NaN and infinities as in a journal."""
    node: dict[str, Any] = _json(asdict(report))
    for name in ("first_unequal", "first_beyond", "largest"):
        if (departure := getattr(report.numbers, name)) is not None:
            node["numbers"][name] |= {"relative": journal.encode(departure.relative), "place": departure.place}
    return {name: value for name, value in node.items() if name not in ("tracked", "wait_seconds")}


def print_report(report: RunReport) -> None:
    """Print the report, the verdict last; plain lines where there is no terminal."""
    out = console()
    for label, line in _lines(report):
        out.print(Text(f"{label:9} {one_line(line)}"), soft_wrap=True)
    out.print(Text(f"{'verdict':9} ").append(report.verdict, style=f"bold {_STYLES[report.verdict]}"))


def _lines(report: RunReport) -> list[tuple[str, str]]:
    numbers, checkpoints = report.numbers, report.checkpoints
    updates = f", {numbers.updates} updates" if numbers.updates else ""
    epochs = ", ".join(map(str, checkpoints.compared))
    lines = [
        ("compared", f"{numbers.compared} numbers of {numbers.epochs} epochs{updates}"),
        ("compared", f"the checkpoints of epochs {epochs}" if epochs else "no checkpoint"),
        ("numbers", f"{numbers.unequal} differ" if numbers.unequal else "all equal"),
    ]
    if numbers.first_beyond:
        lines.append(("departs", f"at {_shown(numbers.first_beyond)}, beyond rtol {report.rtol:g}"))
    if numbers.first_unequal and numbers.first_unequal != numbers.first_beyond:
        lines.append(("first", f"at {_shown(numbers.first_unequal)}"))
    if numbers.largest and numbers.largest not in (numbers.first_beyond, numbers.first_unequal):
        lines.append(("largest", f"at {_shown(numbers.largest)}"))
    if checkpoints.initial_equal is False:
        lines.append(("weights", "other initial weights: the runs differ before the first update"))
    if checkpoints.unequal:
        epoch, files = max(checkpoints.unequal.items())
        lines.append(("weights", f"the checkpoints of epoch {epoch} differ in {', '.join(files)}"))
    elif checkpoints.compared:
        lines.append(("weights", "every byte of the arrays is equal"))
    for part in report.predictions:
        accuracies = f"accuracy {part.accuracy[0]:.6g} then, {part.accuracy[1]:.6g} now"
        lines.append(("predicted", f"{part.part}: {part.changed} of {part.samples} otherwise; {accuracies}"))
    return lines + [("note", note) for note in report.notes]


def _shown(departure: Departure) -> str:
    old, new = ("none" if value is None else repr(value) for value in (departure.old, departure.new))
    return f"{departure.place}: {departure.metric} {old} then, {new} now, relative {departure.relative:.3g}"


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _json(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if isinstance(value, float):
        return journal.encode(value)
    return str(value) if isinstance(value, (Path, enum.Enum)) else value
