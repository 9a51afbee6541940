"""Shipment: the records of a stack's runs, from one machine to another, as an archive of ``nnlab export`` in memory."""

from __future__ import annotations

import importlib.metadata
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from nnlab import journal
from nnlab.one_line import one_line
from nnlab.portable import record
from nnlab.portable.archive import Archive, Writer
from nnlab.portable.arrival import Arrival, arrivals
from nnlab.portable.importing import place
from nnlab.portable.manifest import Manifest, RecordEntry

_WORK = ".arrived-"


def pack(directories: Mapping[str, Path]) -> bytes | None:
    """Return an archive of some runs; None if none of them has begun.

    Args:
        directories: place below an outputs root -> directory of the run, at which nobody is.

    Raises:
        NnlabError: a record is damaged, or at work.
    """
    entries = []
    file = io.BytesIO()
    with Writer(file) as writer:
        for where, directory in sorted(directories.items()):
            found = record.of(directory)
            if found is None:
                continue
            record.check_at_rest(directory)
            sums = {
                name: writer.add(f"{where}/{name}", path, lambda _: None)
                for path in sorted(found.files())
                for name in [path.relative_to(directory).as_posix()]
            }
            own_name = one_line(str(found.header.get("name", "")))
            status = found.status()
            entries.append(
                RecordEntry(place=where, kind=found.kind, run_id=found.run_id, name=own_name, status=status, files=sums)
            )
        if not entries:
            return None
        writer.finish(Manifest(nnlab=importlib.metadata.version("nnlab"), records=entries))
    return file.getvalue()


def unpack(
    data: bytes,
    targets: Mapping[str, Path],
    outputs: Path,
    beside: Path,
    prepare: Callable[[Path], object] = lambda _: None,
) -> list[Arrival]:
    """Merge the runs of an archive with what is here: see ``nnlab.portable.arrival``.

    It is not waited for the disk, which would take longer than all else: what a power cut takes is trained again.

    Args:
        data: of the archive.
        targets: place in it -> directory here.
        outputs: the outputs root here.
        beside: a folder of the same file system, for what is not yet checked; made if need be.
        prepare: is called with each directory before its journal is there.

    Raises:
        NnlabError: it is damaged, or a record has gone another way here.
        OSError: the file system refuses.
    """
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=beside) as work:
        file = Path(work) / "archive"
        file.write_bytes(data)
        with Archive(file, lambda _: None) as archive:
            staged = Path(work) / "staged"
            staged.mkdir()
            arrived = arrivals(archive, outputs, staged, lambda _: None, targets)
            for each in arrived:
                prepare(each.target)
            place(arrived, outputs, staged, is_synced=False)
    return arrived


def other_ways(data: bytes, targets: Mapping[str, Path]) -> list[str]:
    """Return the places of an archive whose runs have another journal here: neither is the beginning of the other."""
    found = []
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "archive"
        file.write_bytes(data)
        with Archive(file, lambda _: None) as archive:
            for entry in archive.manifest.records:
                ours = targets[entry.place] / journal.NAME
                if not ours.is_file():
                    continue
                theirs = Path(work) / "journal"
                name = f"{entry.place}/{journal.NAME}"
                archive.extract(name, entry.files[journal.NAME], theirs, lambda _: None)
                shorter, longer = sorted((_whole_lines(ours), _whole_lines(theirs)), key=len)
                if not longer.startswith(shorter):
                    found.append(entry.place)
                theirs.unlink()
    return found


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def has_begun(directory: Path) -> bool:
    """Say whether a run has a record."""
    return (directory / journal.NAME).is_file()
