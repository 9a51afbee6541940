"""Checkpoints cut, flipped, renamed, swapped and forged: all of it is to be noticed, and a run to survive it."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nnlab
from benchmarks.faults import stopped_run
from benchmarks.faults.checkpoints import damages
from benchmarks.faults.fault import Effort, Fault, Found, each
from benchmarks.faults.stopped_run import LAST
from benchmarks.faults.warm import Warm
from nnlab import checkpoint
from nnlab.errors import NnlabError

_RESUMED = 60  # in the whole run, through the command line
_SHARE = 150  # of the damaged bytes, in the short version
_FILES = 6  # and one way to damage whole files for so many of them
_LOADED = 20  # one of so many is asked of `nnlab.load` too, which then looks at all the others as well
_FOLDER = f"epoch-{LAST:06d}"


def _inject(effort: Effort) -> Found:
    with tempfile.TemporaryDirectory(prefix="nnlab-damage-") as place, Warm(Path(place)) as warm:
        finished = stopped_run.train(warm, "finished")
        other = stopped_run.train(warm, "other", "seed=7") / "checkpoints" / _FOLDER
        stopped = stopped_run.stop(finished, warm.outputs / "runs" / "stopped")
        folder = stopped / "checkpoints" / _FOLDER
        older = folder.with_name(f"epoch-{LAST - 2:06d}")
        by_byte = damages.of_bytes(folder, effort.draw())
        by_file = damages.of_files(folder, other, older)
        chosen = effort.chosen(by_byte)
        found = _noticed_by_byte(stopped, chosen)
        names = [*by_file] if effort.times is None else effort.draw().sample([*by_file], effort.times // _FILES)
        found += each(functools.partial(_noticed_by_file, stopped, by_file), names, Effort(None, effort.seed))
        resumed = _resumptions(by_byte, [*by_file], effort)
        started: Counter[str] = Counter()
        trial = functools.partial(_resumed, warm, finished, stopped, by_file, started)
        found += each(trial, resumed, Effort(None, effort.seed))
        kinds = Counter(damage.what for damage in chosen)
        found.notes += [
            f"{len(folder_files := sorted(folder.iterdir()))} files of {sum(map(_size, folder_files)):,} bytes: "
            + ", ".join(f"{count:,} times {kind}" for kind, count in kinds.items())
            + f", and {len(names)} ways to damage whole files; these, and one in {_LOADED} of the others, `nnlab.load` "
            "was to notice, too.",
            f"{len(resumed)} damaged runs went through `nnlab evaluate` and `nnlab resume`: "
            + ", ".join(f"{count} went on from {start}" for start, count in sorted(started.items()))
            + "; what is put aside and what is made again is in their logs.",
        ]
        return found


def _size(path: Path) -> int:
    return path.stat().st_size


def _noticed_by_byte(run: Path, cases: Sequence[damages.Bytes]) -> Found:
    """Damage one file after the other, in place."""
    folder, found = run / "checkpoints" / _FOLDER, Found(len(cases))
    for number, case in enumerate(cases):
        path = folder / case.file
        whole = path.read_bytes()
        path.write_bytes(case.of(whole))
        found.losses += [f"{case}: {problem}" for problem in _unnoticed(run, folder, is_loaded=number % _LOADED == 0)]
        path.write_bytes(whole)
    if problem := checkpoint.problems(folder):
        found.losses.append(f"put back, it is not whole: {problem}")
    return found


def _noticed_by_file(run: Path, acts: Mapping[str, damages.Act], name: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(run, Path(place, "run"), symlinks=True))
        folder = copy / "checkpoints" / _FOLDER
        yield from _unnoticed(copy, acts[name](folder) or folder)


def _unnoticed(run: Path, folder: Path, *, is_loaded: bool = True) -> Iterator[str]:
    """Yield by whom a damage is not noticed, or not said in one line that names the checkpoint and the whole ones."""
    problem = checkpoint.problems(folder)
    if problem is None or "\n" in problem or str(folder.parent) not in problem:
        yield f"checkpoint.problems says {problem!r}"
    for ask in (nnlab.load, functools.partial(nnlab.load, which="best")) if is_loaded else ():
        text = _refusal(functools.partial(ask, run))
        if text is None or "\n" in text or str(folder.parent) not in text or "whole ones are" not in text:
            yield f"nnlab.load says {text!r}"


def _refusal(action: Callable[[], object]) -> str | None:
    try:
        action()
    except NnlabError as error:
        return str(error)
    return None


def _resumptions(
    by_byte: list[damages.Bytes], by_file: list[str], effort: Effort
) -> list[tuple[tuple[int, ...], damages.Bytes | str]]:
    """Draw which checkpoints are damaged, and how: mostly the last one, else an older one, the first, or all."""
    draw = effort.draw()
    count = _RESUMED if effort.times is None else max(1, effort.times // _SHARE)
    cases: list[tuple[tuple[int, ...], damages.Bytes | str]] = []
    for number in range(count):
        epochs = ((LAST,), (LAST,), (LAST,), (2,), (0,), (0, 2, 4, LAST))[number % 6]
        is_whole = epochs == (LAST,) and number % 2 == 0
        cases.append((epochs, draw.choice(by_file) if is_whole else draw.choice(by_byte)))
    return cases


def _resumed(
    warm: Warm,
    finished: Path,
    stopped: Path,
    acts: Mapping[str, damages.Act],
    started: Counter[str],
    case: tuple[tuple[int, ...], damages.Bytes | str],
) -> Iterator[str]:
    epochs, damage = case
    run = Path(shutil.copytree(stopped, warm.outputs / "runs" / "trial", symlinks=True))
    try:
        for epoch in epochs:
            _do(run / "checkpoints" / f"epoch-{epoch:06d}", damage, acts)
        hurt = [epoch for epoch in epochs if not _is_same(run, stopped, epoch)]  # a copy that is too many hurts none
        if LAST in epochs:
            evaluated = warm.run(["evaluate", str(run)])
            if evaluated.code != 2 or evaluated.err.count("\n") != 1 or "checkpoints/epoch-" not in evaluated.err:
                yield f"evaluate ends with {evaluated.code}: {evaluated.err}"
        resumed = warm.run(["resume", str(run)], seconds=60)
        if resumed.code != 0:
            yield f"resume ends with {resumed.code}: {resumed.err}"
            return
        start = next((line for line in resumed.out.splitlines() if "the run goes on from" in line), "")
        began = start.rpartition(" from ")[2]
        started[began] += 1
        if not began or ("epoch-" in began and int(began.rpartition("-")[2]) >= min(hurt, default=LAST + 1)):
            yield f"resume says where it goes on from in {start!r}"
        log = (run / "train.log").read_text()
        if "put aside" not in log and "is gone" not in log:
            yield "train.log does not tell"
        yield from stopped_run.differences(run, finished)
        if code := warm.run(["evaluate", str(run)]).code:
            yield f"evaluate of the mended run ends with {code}"
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(run)


def _is_same(run: Path, other: Path, epoch: int) -> bool:
    return stopped_run.files(run, epoch) == stopped_run.files(other, epoch)


def _do(folder: Path, damage: damages.Bytes | str, acts: Mapping[str, damages.Act]) -> None:
    if isinstance(damage, str):
        acts[damage](folder)
        return
    path = folder / damage.file
    whole = path.read_bytes()
    place = min(damage.place, len(whole) - 1) if damage.what != "append" else damage.place
    path.write_bytes(damages.Bytes(damage.file, damage.what, place, damage.value).of(whole))


FAULT = Fault(
    "checkpoint truncated at every length, every byte flipped and set to another value, manifest and its hash too; "
    "files and folders extra, missing, renamed, swapped, linked, of another epoch or run, forged with good hashes",
    "each is noticed and said in one line; `nnlab resume` falls back to the one before, says so, and ends with the "
    "bytes of a run that was never damaged",
    _inject,
    None,
    _SHARE,
)
