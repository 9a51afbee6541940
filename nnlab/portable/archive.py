"""Archive: a zip file of records, sealed by the SHA-256 of all its bytes, the last 64 of which are that.

A zip file, for every system opens one without nnlab, its list of files can be read without the files, and each is
compressed by itself, or not where that gains nothing: arrays and pictures. Of the same records the same nnlab, with the
same zlib, makes the same bytes: names are sorted, and there are no times in it.

    runs/<name>/journal.jsonl ...     as below an outputs root
    sweeps/<name>/<job>/...
    nnlab-archive.json                see ``manifest``; stored as it is
    (comment of the zip file)         SHA-256 of all before it: head -c -64 FILE | sha256sum
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from nnlab import regular_file
from nnlab.errors import NnlabError, naming
from nnlab.machine_memory import check_fits
from nnlab.one_line import one_line
from nnlab.portable import manifest, seal
from nnlab.portable.manifest import Manifest, Sum
from nnlab.portable.seal import Progress

_STORED = (".npy", ".png")  # numbers that look like chance, and what is compressed already
_PIECE = 1 << 20  # bytes at a time
_END = struct.Struct("<4s4H2LH")  # a zip file's end: mark, disks, entries here and in all, size, offset, comment
_MOST_FILES_BYTES = 1 << 29  # of the list of files; some 4 million
_IN_MEMORY = 8  # times as much the list takes in memory
_MODE = (stat.S_IFREG | 0o644) << 16
_UNIX, _UTF8 = 3, 0x800  # a zip file's word for where it was made, and for names in UTF-8
_EARLIEST = (1980, 1, 1, 0, 0, 0)


class Writer:
    """Writes an archive; a context manager.

    Args:
        file: empty, to be written and read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.fp = None  # or an unfinished one would be written to once more when it is collected

    def add(self, name: str, path: Path, progress: Progress) -> Sum:
        """Add a file, and return what it was found to be."""
        with path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            found = hashlib.sha256()
            with self._zip.open(_info(name, size), "w") as target:
                while size and (piece := source.read(min(_PIECE, size))):
                    found.update(piece)
                    target.write(piece)
                    size -= len(piece)
                    progress(len(piece))
            if size or source.read(1):
                raise NnlabError(f"{path} is written to while it is read: somebody is at work on it")
            return Sum(size=os.fstat(source.fileno()).st_size, sha256=found.hexdigest())

    def finish(self, listed: Manifest) -> None:
        """Add the manifest, and seal it all."""
        data = manifest.encode(listed)
        self._zip.writestr(_info(manifest.NAME, len(data), zipfile.ZIP_STORED), data)
        self._zip.comment = b"0" * seal.BYTES
        self._zip.close()
        seal.put(self._file)


class Archive:
    """An archive that somebody has sent, open for reading; nothing in it is believed before it has been checked.

    Args:
        path: of the file.
        progress: is told of the bytes of the file as it is checked.

    Attributes:
        path: of the file.
        manifest: what is in it.

    Raises:
        NnlabError: it is none, or damaged, or holds what no archive does; one line.
    """

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self._file = regular_file.opened(path)
        try:
            with _refusing(path), naming(path):
                seal.check(self._file, progress)
                _check_end(self._file, path)
                self._zip = zipfile.ZipFile(self._file)
                infos = self._zip.infolist()
                if not infos or infos[-1].orig_filename != manifest.NAME:
                    raise NnlabError(f"its last file is not {manifest.NAME}")
                if infos[-1].compress_type != zipfile.ZIP_STORED or infos[-1].file_size != infos[-1].compress_size:
                    raise NnlabError(f"{manifest.NAME} is not stored as it is")
                check_fits(_IN_MEMORY * infos[-1].file_size, f"{manifest.NAME} of {path}")
                self.manifest = manifest.decode(self._zip.read(infos[-1]))
                self._infos = _checked(infos, self.manifest)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def extract(self, name: str, known: Sum, target: Path | None, progress: Progress) -> None:
        """Read a file, write it where it is wanted, and check what it is.

        Args:
            name: of the file in the archive.
            known: what the manifest says of it.
            target: of the file to be made; None to check it alone.
            progress: is told of its bytes.

        Raises:
            NnlabError: it is not what the manifest says.
            OSError: the file system refuses.
        """
        found, size = hashlib.sha256(), 0
        with _refusing(self.path), self._zip.open(self._infos[name]) as source, _made(target) as file:
            while piece := source.read(_PIECE):
                found.update(piece)
                size += len(piece)
                progress(len(piece))
                if file is not None and target is not None:
                    with naming(target):
                        file.write(piece)
        if (size, found.hexdigest()) != (known.size, known.sha256):
            raise NnlabError(one_line(f"{self.path} is damaged: {name} is not what its manifest says"))


@contextmanager
def _made(target: Path | None) -> Iterator[BinaryIO | None]:
    if target is None:
        yield None
        return
    with naming(target), target.open("xb") as file:
        yield file


def _info(name: str, size: int, kind: int | None = None) -> zipfile.ZipInfo:
    """Return what a zip file says of one of our files."""
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.create_system, info.external_attr, info.file_size = _UNIX, _MODE, size
    info.compress_type = (
        kind if kind is not None else zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    )
    return info


def _check_end(file: BinaryIO, path: Path) -> None:
    """Refuse a list of files that is too large to be read; where it is very long, the end names no size."""
    start = file.seek(-seal.BYTES - _END.size, os.SEEK_END)
    mark, _, _, _, _, size, _, comment = _END.unpack(file.read(_END.size))
    if mark != b"PK\x05\x06" or comment != seal.BYTES:
        raise NnlabError("it does not end as `nnlab export` ends one")
    file.seek(max(0, start - 20 - 56))
    long = file.read(56)
    if long[:4] == b"PK\x06\x06":
        (size,) = struct.unpack_from("<Q", long, 40)
    if size > _MOST_FILES_BYTES:
        raise NnlabError("it holds more files than any archive of ours")
    check_fits(_IN_MEMORY * size, f"the list of files of {path}")


def _checked(infos: list[zipfile.ZipInfo], listed: Manifest) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by their names, if they are those of its manifest, and regular ones."""
    found = {info.orig_filename: info for info in infos[:-1]}
    if len(found) < len(infos) - 1:
        raise NnlabError("a name is there twice")
    known = listed.files()
    if odd := min(found.keys() ^ known.keys(), default=None):
        raise NnlabError(f"{odd!r} is {'not in its manifest' if odd in found else 'missing'}")
    for name, info in found.items():
        if info.filename != name or info.external_attr != _MODE or info.create_system != _UNIX:
            raise NnlabError(f"{name!r} is not a regular file as `nnlab export` adds it")
        if info.flag_bits & ~_UTF8 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NnlabError(f"{name!r} is encrypted, or compressed as none of ours")
        if info.file_size != known[name].size:
            raise NnlabError(f"{name!r} has not the size that its manifest says")
    return found


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with an archive."""
    try:
        yield
    except NnlabError as error:
        shown = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise NnlabError(one_line(shown)) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError, OverflowError) as error:
        raise NnlabError(one_line(f"{path} is damaged: {error}")) from error
