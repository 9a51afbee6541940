"""Manifest: what is in an archive, the size and SHA-256 of every file; ``nnlab-archive.json``, its last member."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nnlab import journal
from nnlab.components import validated
from nnlab.errors import NnlabError
from nnlab.portable import names

NAME = "nnlab-archive.json"
VERSION = 1

_FORMAT = "nnlab archive"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Sum(_Model):
    """What is known of a file before it is read."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class RecordEntry(_Model):
    """One run, or a sweep without its runs, which have entries of their own.

    Attributes:
        place: its directory, seen from the outputs root.
        kind: which of the two.
        run_id: nnlab's.
        name: for people.
        status: as it ended; KILLED too if it died without a word.
        files: their names, seen from the directory.
    """

    place: str
    kind: Literal["run", "sweep"]
    run_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: str
    status: Literal["FINISHED", "FAILED", "KILLED"]
    files: dict[str, Sum]


class Manifest(_Model):
    """All of it.

    Attributes:
        format: what this is.
        version: of the form.
        nnlab: the version that wrote it.
        records: in the order of their places.
    """

    format: Literal["nnlab archive"] = "nnlab archive"
    version: Literal[1] = 1
    nnlab: str
    records: list[RecordEntry]

    def files(self) -> dict[str, Sum]:
        """Return what is known of each file, by its name in the archive."""
        return {f"{record.place}/{name}": known for record in self.records for name, known in record.files.items()}


def encode(manifest: Manifest) -> bytes:
    """Return a manifest as text; the same one as the same bytes."""
    return (json.dumps(manifest.model_dump(), indent=1, sort_keys=True) + "\n").encode()


def decode(data: bytes) -> Manifest:
    """Read a manifest as somebody else's data.

    Raises:
        NnlabError: it is none, or names what can't be.
    """
    try:
        node = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NnlabError(f"{NAME} is no JSON: {error}") from error
    if not isinstance(node, dict) or node.get("format") != _FORMAT:
        raise NnlabError(f"{NAME} is not that of an archive")
    if node.get("version") != VERSION:
        raise NnlabError(f"its form is {node.get('version')!r}, this nnlab reads {VERSION}: update nnlab")
    manifest = validated(Manifest, node)
    assert isinstance(manifest, Manifest)  # noqa: S101 - what validated() makes
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    """Refuse what no archive holds: no or odd places, journals beside those of its records, one run twice."""
    if not manifest.records:
        raise NnlabError("it holds no run")
    all_names = [f"{record.place}/{name}" for record in manifest.records for name in record.files]
    names.check(all_names)
    journals = {name for name in all_names if name.rpartition("/")[2] == journal.NAME}
    if journals != {f"{record.place}/{journal.NAME}" for record in manifest.records}:
        raise NnlabError("its runs are not those whose journals it holds")
    ids: dict[str, str] = {}
    for record in manifest.records:
        if (other := ids.setdefault(record.run_id, record.place)) != record.place:
            raise NnlabError(f"{record.place!r} and {other!r} have one run id")
