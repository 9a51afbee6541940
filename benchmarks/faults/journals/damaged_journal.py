"""Journals torn, spoiled, written by two and dated by a clock that goes back."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nnlab
from benchmarks.faults import stopped_run
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.journals import clocks, tails, writers
from benchmarks.faults.journals.tails import Spoiled
from benchmarks.faults.stopped_run import JOURNAL
from benchmarks.faults.warm import Warm
from nnlab import journal, journal_lines
from nnlab.errors import NnlabError

_RESUMED = 25  # of the cut ones in the whole run; the other spoiled ones all are
_SHORT = 60


def _inject(effort: Effort) -> Found:
    with tempfile.TemporaryDirectory(prefix="nnlab-journal-") as place, Warm(Path(place)) as warm:
        finished = stopped_run.train(warm, "finished")
        stopped = stopped_run.stop(finished, Path(place, "stopped"))
        data = (stopped / JOURNAL).read_bytes()
        cut, other = tails.cuts(data), tails.others(data, effort.draw())
        is_short = effort.times is not None
        cases = [*effort.chosen(cut), *other]
        alone = Effort(None, effort.seed)
        found = each(_read, cases, alone)
        draw = effort.draw()
        resumed = draw.sample([*cut, *other], 1) if is_short else [*draw.sample(cut, _RESUMED), *other]
        found += each(functools.partial(_resumed, warm, finished, stopped), resumed, alone)
        scenes = writers.SCENES[:1] if is_short else writers.SCENES
        found += each(functools.partial(writers.try_, warm, finished, stopped), scenes, alone)
        moves = clocks.MOVES[:1] if is_short else clocks.MOVES
        found += each(functools.partial(clocks.try_, Path(place), is_tracked=not is_short), moves, alone)
        counts = Counter("refused" if case.refused else "used" for case in resumed)
        found.notes += [
            f"A journal was cut at each of the {len(cut)} bytes of its last lines, and spoiled in {len(other)} ways.",
            f"{len(resumed)} of them went through `nnlab resume`, `sync` and `compare`: {counts['used']} were gone on "
            f"with, {counts['refused']} refused in one line.",
            f"Second writers: {', '.join(scene.__name__.strip('_').replace('_', ' ') for scene in scenes)}.",
            f"The clock was {', '.join(move.name for move in moves)}.",
        ]
        return found


def _read(case: Spoiled) -> Iterator[str]:
    """Read a spoiled journal, and compare with what ``json`` finds in its whole lines."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place)
        path = run / JOURNAL
        path.write_bytes(case.data)
        if case.refused and "began" not in case.refused:
            yield from _refused(run, case)
            return
        if (found := [event for event, _ in journal.read_events(path)]) != case.whole:
            yield f"{len(found)} events are read instead of {len(case.whole)}"
        said = journal_lines.torn(path)
        if (said is not None) != bool(case.tail) or (said and f"the last {case.tail:,} bytes of {path}" not in said):
            yield f"{said!r} is said of its tail of {case.tail} bytes"
        if path.read_bytes() != case.data:
            yield "reading has changed it"
        if "began" not in str(case.refused):
            steps = {event["step"] for event in case.whole if event["type"] == "metrics" and "lr" in str(event)}
            if not steps <= {*nnlab.history(run).index}:
                yield "nnlab.history has not every step"


def _refused(run: Path, case: Spoiled) -> Iterator[str]:
    for read in (journal.read, nnlab.history):
        try:
            read(run)
        except NnlabError as error:
            if "\n" in str(error) or str(case.refused) not in str(error) or str(run) not in str(error):
                yield f"it is refused with {error}"
        else:
            yield f"{read.__name__} takes it"


def _resumed(warm: Warm, finished: Path, stopped: Path, case: Spoiled) -> Iterator[str]:
    run = Path(shutil.copytree(stopped, warm.outputs / "runs" / "trial"))
    try:
        path = run / JOURNAL
        path.write_bytes(case.data)
        said = f"the last {case.tail:,} bytes of {path}"
        for verb in ("sync", "compare"):
            looked = warm.run([verb], seconds=60)
            is_damaged = verb == "compare" and "began" not in str(
                case.refused
            )  # of what is not tracked, sync reads no more
            wanted = said if case.tail else case.refused if case.refused and is_damaged else ""
            if wanted not in looked.out.replace("\n", " ") or "Traceback" in looked.err:
                yield f"{verb} does not tell: {looked.out[-300:]} {looked.err[-300:]}"
        if path.read_bytes() != case.data:
            yield "looking has changed it"
        resumed = warm.run(["resume", str(run)], seconds=60)
        if case.refused:
            if resumed.code != 2 or resumed.err.count("\n") != 1 or case.refused not in resumed.err:
                yield f"resume ends with {resumed.code}: {resumed.err}"
            if path.read_bytes() != case.data:
                yield "refusing has changed it"
            return
        if resumed.code:
            yield f"resume ends with {resumed.code}: {resumed.err}"
            return
        if resumed.out.count(said) != (1 if case.tail else 0):
            yield f"resume tells of the tail {resumed.out.count(said)} times"
        if (said in (run / "train.log").read_text()) != bool(case.tail):
            yield "train.log does not tell of the tail"
        if case.data[:3] != b"\xef\xbb\xbf":  # which plain json does not take
            yield from stopped_run.differences(run, finished)
        elif journal.read(run).status != "FINISHED":
            yield "the run is not FINISHED"
    finally:
        shutil.rmtree(run, ignore_errors=True)


FAULT = Fault(
    "journal cut at every byte of its last lines, with NUL bytes or garbage behind it or in it; two writers; clock set "
    "back while a run trains and before it is resumed",
    "every whole line is used and the tail reported, or the file refused in one line; a second writer is refused in "
    "one line; no line is older than the one before, no run ends before it starts, in MLflow neither",
    _inject,
    None,
    _SHORT,
)
