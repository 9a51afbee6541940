"""Archives that somebody made to do harm, their seals in order: each ends in one line, and leaves nothing behind."""

import hashlib
import io
import json
import os
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnlab.portable import archive, record
from tests.portable.conftest import Machines
from tests.portable.records import run, tree

Change = Callable[["Forge"], object]


class Forge:
    """An archive that is taken apart, and put together again with whatever one likes in it."""

    def __init__(self, file: Path) -> None:
        with zipfile.ZipFile(file) as source:
            self.members = [(info, source.read(info)) for info in source.infolist()]
        self.manifest: dict[str, Any] = json.loads(self.members.pop()[1])
        self.record = self.manifest["records"][0]
        self.tail = b""

    def add(self, name: str, data: bytes = b"evil", mode: int = stat.S_IFREG | 0o644, *, listed: bool = True) -> None:
        info = zipfile.ZipInfo("x")
        info.filename = info.orig_filename = name
        info.create_system, info.external_attr = 3, mode << 16
        self.members.append((info, data))
        if listed:
            known = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            place = next((each for each in self.manifest["records"] if name.startswith(f"{each['place']}/")), None)
            if place is None:
                place = {**self.record, "place": name.rpartition("/")[0], "run_id": name, "files": {}}
                self.manifest["records"].append(place)
            place["files"][name.removeprefix(f"{place['place']}/")] = known

    def info(self, end: str) -> zipfile.ZipInfo:
        return next(info for info, _ in self.members if info.filename.endswith(end))

    def rewrite(self, end: str, data: bytes) -> None:
        """Change a file, and what the manifest says of it."""
        self.members = [(info, data if info.filename.endswith(end) else old) for info, old in self.members]
        self.record["files"][end] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def write(self, file: Path) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as target, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are there twice
            for info, data in self.members:
                target.writestr(info, data)
            text = json.dumps(self.manifest) if isinstance(self.manifest, dict) else self.manifest
            target.writestr("nnlab-archive.json", text)
            target.comment = b"0" * 64
        self.seal(file, bytearray(buffer.getvalue()))

    def seal(self, file: Path, data: bytearray) -> None:
        data[-64:] = hashlib.sha256(data[:-64]).hexdigest().encode()
        file.write_bytes(data)


def _twice(forge: Forge) -> None:
    forge.add("runs/a/twice")
    forge.members.append(forge.members[-1])


def _accents(forge: Forge) -> None:
    forge.add("runs/a/caf\u00e9")
    forge.add("runs/a/cafe\u0301")


def _nothing(forge: Forge) -> None:
    forge.members.clear()
    forge.manifest["records"] = []


def _lie(**fields: object) -> Change:
    return lambda forge: forge.record.update(fields)


def _bomb(forge: Forge) -> None:
    """Say that a file of zeros has ten bytes."""
    forge.add("runs/a/bomb", bytes(10_000_000))
    forge.members[-1][0].compress_type = zipfile.ZIP_DEFLATED
    forge.record["files"]["bomb"]["size"] = 10


def _text(text: str) -> Change:
    return lambda forge: setattr(forge, "manifest", text)


HOSTILE: dict[str, tuple[Change, str]] = {
    "absolute": (lambda forge: forge.add("/evil/x"), "is no relative path"),
    "dots": (lambda forge: forge.add("runs/a/../../../evil"), "is no relative path"),
    "dots in the middle": (lambda forge: forge.add("runs/../../evil/x"), "is no relative path"),
    "a place above": (_lie(place="runs/../../evil"), "is no relative path"),
    "a drive": (lambda forge: forge.add("C:/evil/x"), "is no relative path"),
    "backslashes": (lambda forge: forge.add("runs\\..\\..\\evil"), "is no relative path"),
    "no run": (lambda forge: forge.add("runs/mlflow.db"), "is no file of a run"),
    "an artifact": (lambda forge: forge.add("artifacts/e/x/config.yaml"), "is no file of a run"),
    "a session": (lambda forge: forge.add("reproductions/all.json"), "is no file of a run"),
    "a cursor": (lambda forge: forge.add("runs/a/.mlflow-12345678.json"), "is of one machine alone"),
    "a pickle of submitit's": (lambda forge: forge.add("runs/a/.submitit/1.pkl"), "is of one machine alone"),
    "a link": (lambda forge: forge.add("runs/a/x", b"/etc/passwd", stat.S_IFLNK | 0o777), "is not a regular file"),
    "a device": (lambda forge: forge.add("runs/a/x", b"", stat.S_IFCHR | 0o666), "is not a regular file"),
    "a program": (lambda forge: forge.add("runs/a/x", b"#!", stat.S_IFREG | 0o4755), "is not a regular file"),
    "a folder": (lambda forge: forge.add("runs/a/x/", b"", stat.S_IFDIR | 0o755), "is no relative path"),
    "one name twice": (_twice, "is there twice"),
    "names that differ by case": (lambda forge: forge.add("runs/a/TRAIN.log"), "are one file on some machines"),
    "folders that differ by case": (lambda forge: forge.add("runs/A/plots/x"), "are one file on some machines"),
    "names that differ by accents": (
        _accents,
        "are one file on some machines",
    ),
    "a file that is a folder": (lambda forge: forge.add("runs/a/train.log/x"), "is a file and a folder"),
    "a name for the terminal": (lambda forge: forge.add("runs/a/\x1b]0;evil\x07"), "can't be printed"),
    "two lines": (lambda forge: forge.add("runs/a/x\nnnlab: all is well"), "can't be printed"),
    "a name that ends early": (lambda forge: forge.add("runs/a/x\0.png"), "can't be printed"),
    "a very long name": (lambda forge: forge.add(f"runs/a/{'x/' * 5000}x"), "is no name"),
    "more than is listed": (lambda forge: forge.add("runs/a/x", listed=False), "is not in its manifest"),
    "less than is listed": (lambda forge: forge.members.pop(0), "is missing"),
    "a journal beside": (lambda forge: forge.add("runs/a/plots/journal.jsonl"), "not those whose journals it holds"),
    "a bomb": (_bomb, "has not the size"),
    "a method of its own": (lambda forge: setattr(forge.info("train.log"), "compress_type", 12), "compressed as none"),
    "another file": (lambda forge: forge.record["files"]["train.log"].update(sha256="0" * 64), "is not what its"),
    "another run id": (_lie(run_id="b"), "is not of what the manifest says"),
    "another status": (_lie(status="FAILED"), "is not of what the manifest says"),
    "another kind": (_lie(kind="sweep"), "is not of what the manifest says"),
    "no status that there is": (_lie(status="RUNNING"), "status"),
    "one more key": (_lie(evil=1), "evil"),
    "negative bytes": (lambda forge: forge.record["files"]["train.log"].update(size=-1), "size"),
    "nothing": (_nothing, "it holds no run"),
    "a later form": (lambda forge: forge.manifest.update(version=2), "update nnlab"),
    "no form": (lambda forge: forge.manifest.pop("format"), "not that of an archive"),
    "no JSON": (_text("{"), "is no JSON"),
    "deep JSON": (_text("[" * 100_000), "is no JSON"),
    "no object": (_text("[]"), "not that of an archive"),
    "a journal of garbage": (lambda forge: forge.rewrite("journal.jsonl", b"\x1b[2J\n" * 3), "is damaged"),
    "an empty journal": (lambda forge: forge.rewrite("journal.jsonl", b""), "is not of what the manifest says"),
    "a journal without a run": (
        lambda forge: forge.rewrite("journal.jsonl", b'{"type":"params","timestamp":1,"params":{}}\n'),
        "is not of what the manifest says",
    ),
}


@pytest.fixture
def whole(machine: Machines) -> Path:
    home = machine("home")
    run(home.outputs / "runs" / "a", "a", ended=None)
    return home.export("runs/a")


def refused(machine: Machines, file: Path, said: str) -> None:
    away = machine("away")
    before = tree(away.outputs.parent)
    printed = away.nnlab("import", file, code=2)
    assert said in printed
    assert file.name in printed
    assert tree(away.outputs.parent) == before
    assert not away.outputs.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_each_ends_in_one_line_and_leaves_nothing(machine: Machines, whole: Path, name: str) -> None:
    change, said = HOSTILE[name]
    forge = Forge(whole)
    change(forge)
    forge.write(whole.with_name("hostile.zip"))
    refused(machine, whole.with_name("hostile.zip"), said)


def test_what_is_forged_well_is_an_archive(machine: Machines, whole: Path) -> None:
    forge = Forge(whole)
    forge.add("runs/a/more.md", b"more")
    forge.write(whole.with_name("more.zip"))
    machine("away").nnlab("import", whole.with_name("more.zip"))
    assert (machine("away").outputs / "runs" / "a" / "more.md").read_bytes() == b"more"


def test_two_names_for_the_same_bytes(machine: Machines, whole: Path) -> None:
    """A quine's trick: many files, each of them the one that is compressed so well."""
    forge = Forge(whole)
    forge.add("runs/a/one", bytes(1000))
    forge.add("runs/a/two", bytes(1000))
    forge.write(file := whole.with_name("hostile.zip"))
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as source:
        offset = source.getinfo("runs/a/one").header_offset
    place = data.rindex(b"runs/a/two") - 4
    data[place : place + 4] = offset.to_bytes(4, "little")
    forge.seal(file, data)
    refused(machine, file, "")


def test_what_says_that_it_has_very_many_files(machine: Machines, whole: Path) -> None:
    forge, file = Forge(whole), whole.with_name("hostile.zip")
    data = bytearray(whole.read_bytes())
    place = len(data) - 64 - 22 + 12
    data[place : place + 4] = (2**31).to_bytes(4, "little")
    forge.seal(file, data)
    refused(machine, file, "more files than any archive")


def test_an_archive_of_another_kind(machine: Machines, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as target:
        info = tarfile.TarInfo("../evil")
        target.addfile(info)
    refused(machine, tmp_path / "a.tar.gz", "no archive that `nnlab export` has made")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as other:
        other.writestr("../evil", b"evil" * 100)
    refused(machine, tmp_path / "a.zip", "was not made by `nnlab export`")


def test_no_named_pipe_is_waited_for_and_no_device_read(machine: Machines, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    refused(machine, tmp_path / "pipe.zip", "is a named pipe")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    refused(machine, tmp_path / "zero.zip", "is a device")


def test_memory_is_asked_for_before_it_is_used(machine: Machines, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_FILES_BYTES", 100)
    refused(machine, whole, "more files than any archive")


def test_what_a_run_says_is_not_sent_to_the_terminal(machine: Machines, whole: Path) -> None:
    forge = Forge(whole)
    forge.record["name"] = "\x1b[2J evil"
    forge.write(whole.with_name("hostile.zip"))
    assert machine("away").nnlab("import", whole.with_name("hostile.zip")).replace("\n", "").isprintable()


def test_only_known_files_belong_to_a_record() -> None:
    from nnlab.journal import Record

    known = Record(Path(), artifacts=["config.yaml", "checkpoints/epoch-000001"])
    own = ("config.yaml", "checkpoints/epoch-000001/manifest.json", "train.log", ".hydra/hydra.yaml", "sweep.json")
    assert all(record.is_own(name, known) for name in own)
    assert not any(record.is_own(name, known) for name in ("notes.md", "checkpoints/epoch-000002/x.npy", "plots/a.png"))
