"""Arrival: what becomes of each record of an archive where it is imported, decided before anything is changed.

A run's id and its journal decide. Of two copies of one journal the longer one goes on where the shorter one ends, or
they are of two runs that have gone different ways, which nobody can make one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nnlab import journal
from nnlab.errors import NnlabError
from nnlab.journal import Event
from nnlab.one_line import one_line
from nnlab.portable import copies, record
from nnlab.portable.archive import Archive
from nnlab.portable.copies import State
from nnlab.portable.manifest import RecordEntry
from nnlab.portable.seal import Progress
from nnlab.tracking import runs

_LEVELS = 3  # that a job may lie below its sweep


@dataclass(frozen=True)
class Arrival:
    """One record of an archive.

    Attributes:
        entry: what the manifest says of it.
        header: the first line of its journal.
        state: ``new``; ``extended``, as the archive has more of it; ``already here``; ``further here`` than in the
            archive; ``noted otherwise``, the same but for what was noted of it after its end (``journal.annotate``).
        target: its directory here.
        staged: where its files are put before they go there.
        wanted: the files that are to go there.
    """

    entry: RecordEntry
    header: Event
    state: State
    target: Path
    staged: Path
    wanted: frozenset[str]


def arrivals(
    archive: Archive, outputs: Path, work: Path, progress: Progress, targets: Mapping[str, Path] | None = None
) -> list[Arrival]:
    """Decide about every record, and stage and check all that is wanted of them.

    Args:
        archive: to be imported.
        outputs: the outputs root.
        work: an empty folder.
        progress: is told of bytes.
        targets: place in the archive -> directory; by default where its run id is known, else that place here.

    Raises:
        NnlabError: something in the archive is not what its manifest says, or a record can't be brought together with
            what is here: nothing has been changed then.
        OSError: the file system refuses; likewise.
    """
    entries = sorted(archive.manifest.records, key=lambda each: each.place)
    targets = _targets(entries, outputs) if targets is None else targets
    _check_room(archive.path, sum(entry.files[journal.NAME].size for entry in entries), work)
    found = []
    for number, entry in enumerate(entries):
        target = targets[entry.place]
        is_usual = target == outputs / entry.place
        staged = work / ("tree" if is_usual else f"moved-{number}") / (entry.place if is_usual else "run")
        staged.mkdir(parents=True)
        name = f"{entry.place}/{journal.NAME}"
        archive.extract(name, entry.files[journal.NAME], staged / journal.NAME, progress)
        found.append(_arrival(archive.path, entry, target, staged))
    rest = sum(each.entry.files[name].size for each in found for name in each.wanted - {journal.NAME})
    _check_room(archive.path, rest, work)
    for each in found:
        for name, known in sorted(each.entry.files.items()):
            place = each.staged / name if name in each.wanted else None
            if name != journal.NAME:
                if place is not None:
                    place.parent.mkdir(parents=True, exist_ok=True)
                archive.extract(f"{each.entry.place}/{name}", known, place, progress)
        if journal.NAME not in each.wanted:
            (each.staged / journal.NAME).unlink()
    return found


def _check_room(path: Path, needed: int, work: Path) -> None:
    if needed > (free := shutil.disk_usage(work).free):
        text = f"{path} takes {needed / 1e6:,.1f} MB more, and there are {free / 1e6:,.1f} MB left"
        raise NnlabError(f"{text} where {work.parents[1]} is", exit_code=1)


def _targets(entries: list[RecordEntry], outputs: Path) -> dict[str, Path]:
    """Return where each record is, or is to be: where its run id is known, else at its place, with its sweep."""
    usual = {entry.place: outputs / entry.place for entry in entries}
    known: Mapping[str | None, Path] = {}
    if any(runs.run_id(usual[entry.place]) != entry.run_id for entry in entries):
        known = {runs.run_id(directory): directory for directory in reversed(runs.find(outputs))}
    targets: dict[str, Path] = {}
    for entry in entries:  # a sweep before its runs
        above = next((each for each in PurePosixPath(entry.place).parents if str(each) in targets), None)
        place = usual[entry.place]
        if above is not None:
            place = targets[str(above)] / PurePosixPath(entry.place).relative_to(above)
        targets[entry.place] = place if runs.run_id(place) == entry.run_id else known.get(entry.run_id, place)
    return targets


def _arrival(path: Path, entry: RecordEntry, target: Path, staged: Path) -> Arrival:
    with _of_archive(path, entry, staged):
        arrived = record.of(staged)
    told = (entry.run_id, entry.kind, entry.status)
    if arrived is None or (arrived.run_id, arrived.kind, arrived.status()) != told:
        raise NnlabError(one_line(f"{path}: the journal in {entry.place} is not of what the manifest says"))
    _check_sweep(arrived, target)
    here = record.of(target)
    if here is not None and here.run_id != entry.run_id:
        raise NnlabError(f"{target} holds another run than the archive has for that place: move it away")
    if here is None:
        state: State = "new"
        wanted = _unlike(entry, target)
    else:
        state = copies.compare(target / journal.NAME, staged / journal.NAME)
        if state == "extended":
            record.check_at_rest(target)
            with _of_archive(path, entry, staged):
                said = journal.replay(staged)
            wanted = {
                name for name in _unlike(entry, target) if record.is_own(name, said) or not _is_there(target, name)
            }
        elif state == "already here":
            wanted = {name for name in entry.files if not _is_there(target, name)}
            state = "extended" if wanted else state
        else:
            wanted = set()
    for name in wanted:
        _check_way(target, name)
    return Arrival(entry, arrived.header, state, target, staged, frozenset(wanted))


@contextmanager
def _of_archive(path: Path, entry: RecordEntry, staged: Path) -> Iterator[None]:
    """Let what is wrong with a staged journal be said of the archive that it came in."""
    try:
        yield
    except NnlabError as error:
        shown = str(error).replace(str(staged), f"{path}: {entry.place}")
        raise NnlabError(one_line(shown)) from error


def _check_sweep(arrived: record.Record, target: Path) -> None:
    """Refuse to put a run into a sweep that is not its own."""
    for folder in target.parents[:_LEVELS]:
        if folder.name in ("runs", "sweeps"):
            return
        above = record.of(folder)
        if above is not None and above.run_id != arrived.header.get("parent"):
            raise NnlabError(f"{folder} is another sweep than that of the archive's {target.name}: move it away")


def _unlike(entry: RecordEntry, target: Path) -> set[str]:
    """Return the files that are not here, or not the same, and the journal."""
    return {
        name
        for name, known in entry.files.items()
        if name == journal.NAME or not _is_like(target / name, known.size, known.sha256)
    }


def _is_like(path: Path, size: int, sha256: str) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _is_there(target: Path, name: str) -> bool:
    return os.path.lexists(target / name)


def _check_way(target: Path, name: str) -> None:
    """Refuse to write through links, or where something else than a file is.

    Raises:
        NnlabError: it is so.
    """
    if os.path.lexists(target) and not target.is_dir():
        raise NnlabError(f"{target} is no folder: move it away")
    path = target
    parts = PurePosixPath(name).parts
    for number, part in enumerate(parts, 1):
        path /= part
        if not os.path.lexists(path):
            return
        is_right = path.is_file() if number == len(parts) else path.is_dir()
        if path.is_symlink() or not is_right:
            raise NnlabError(one_line(f"{path} is in the way of what the archive has there: move it away"))
