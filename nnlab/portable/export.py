"""Export: the verb, which writes runs and sweeps into one file."""

from __future__ import annotations

import contextlib
import filecmp
import importlib.metadata
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nnlab import atomic_file, journal, locks, paths
from nnlab.errors import NnlabError, naming
from nnlab.one_line import one_line
from nnlab.output import say
from nnlab.portable import names
from nnlab.portable.archive import Writer
from nnlab.portable.display import Display
from nnlab.portable.manifest import Manifest, RecordEntry, Sum
from nnlab.portable.record import Record, check_at_rest
from nnlab.portable.selection import select


def export(what: Sequence[str], file: Path) -> int:
    """Write runs and sweeps into an archive, whole or not at all.

    Args:
        what: directories of runs or sweeps, or ids, MLflow's or nnlab's.
        file: to be made; one that is there stays, and has to be the same.

    Returns:
        the exit code.

    Raises:
        NnlabError: something of it can't be taken along, is at work, or the file is another; one line.
        OSError: the file system refuses; nothing is left under the file's name.
    """
    file = Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - without what a `..` leaves, links as they are
    _check_place(file)
    chosen = select(what, paths.outputs_dir())
    files = {place: _files(place, each) for place, each in chosen.records.items()}
    if inside := next(
        (each for each in chosen.records.values() if file.resolve().is_relative_to(each.directory)), None
    ):
        raise NnlabError(f"{file} would lie in {inside.directory}, which it is to hold: give another place")
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        entries = _write(temporary, chosen.records, files)
        is_there = os.path.lexists(file)
        if is_there and not filecmp.cmp(temporary, file, shallow=False):
            raise NnlabError(f"{file} is there, and holds something else: remove it, or give another name")
        if not is_there:
            temporary.replace(file)
            atomic_file.sync_directory(file.parent)
    finally:
        temporary.unlink(missing_ok=True)
    for note in chosen.notes:
        say(f"note     {one_line(note)}")
    say(f"holds    {_counts(entries)}")
    size = f"{file.stat().st_size / 1e6:,.1f} MB"
    say(f"archive  {one_line(str(file))}, {size}{'; nothing to do: it was there already' if is_there else ''}")
    say(f"bring it in elsewhere with: nnlab import {shlex.quote(one_line(file.name))}")
    return 0


def _check_place(file: Path) -> None:
    if file.is_dir():
        raise NnlabError(f"{file} is a folder; give the name of a file")
    if os.path.lexists(file) and not file.is_file():
        raise NnlabError(f"{file} is no regular file: give another name")
    if not file.parent.is_dir():
        raise NnlabError(f"{file}: there is no such folder")


def _files(place: str, each: Record) -> dict[str, Path]:
    """Return the files of a record by their names in it."""
    files = {path.relative_to(each.directory).as_posix(): path for path in each.files()}
    try:
        names.check(f"{place}/{name}" for name in files)
    except NnlabError as error:
        raise NnlabError(one_line(f"{each.directory}: {error}: another machine may not take it; rename it")) from error
    return files


def _write(
    temporary: Path, records: Mapping[str, Record], files: Mapping[str, Mapping[str, Path]]
) -> list[RecordEntry]:
    """Write the archive, and return what is in it."""
    total = sum(path.stat().st_size for of_record in files.values() for path in of_record.values())
    temporary.unlink(missing_ok=True)
    entries = []
    with naming(temporary), temporary.open("x+b") as file, Display("exporting", total) as display:
        with Writer(file) as writer:
            for place, each in records.items():
                with _at_rest(each.directory):
                    sums = {
                        name: writer.add(f"{place}/{name}", path, display.advance)
                        for name, path in sorted(files[place].items())
                    }
                    entries.append(_entry(place, each, sums))
            writer.finish(Manifest(nnlab=importlib.metadata.version("nnlab"), records=entries))
        file.flush()
        os.fsync(file.fileno())
    return entries


def _entry(place: str, each: Record, sums: dict[str, Sum]) -> RecordEntry:
    name = one_line(str(each.header.get("name", "")))
    return RecordEntry(place=place, kind=each.kind, run_id=each.run_id, name=name, status=each.status(), files=sums)


@contextlib.contextmanager
def _at_rest(directory: Path) -> Iterator[None]:
    """Keep a record as it is: who wants to write it waits, or is refused, while it is copied."""
    with (directory / journal.NAME).open("rb") as file:
        if not locks.try_lock(file.fileno(), shared=True):
            check_at_rest(directory)
            raise locks.taken(directory / journal.NAME)
        yield


def _counts(entries: Sequence[RecordEntry]) -> str:
    kinds = Counter(each.kind for each in entries)
    states = Counter(each.status for each in entries if each.kind == "run")
    parts = [f"{kinds[kind]:,} {kind}{'s' if kinds[kind] > 1 else ''}" for kind in ("sweep", "run") if kinds[kind]]
    shown = ", ".join(f"{count:,} {status}" for status, count in sorted(states.items()))
    return f"{' and '.join(parts)}{f' ({shown})' if shown else ''}"
