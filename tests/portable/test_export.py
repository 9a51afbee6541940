"""`nnlab export`: what is in the file, by the standard library's and the system's own tools."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from nnlab import locks
from tests.portable.conftest import Machine, Machines
from tests.portable.records import kept, lines, run, status, sweep, tree


@pytest.fixture
def home(machine: Machines) -> Machine:
    """A machine with a run, a sweep of two, and one that refers to another's run."""
    home = machine("home")
    run(home.outputs / "runs" / "a", "a")
    sweep(home.outputs / "sweeps" / "s", "s", 2)
    sweep(home.outputs / "sweeps" / "t", "t", 1, stands="../s/1")
    return home


def test_any_unzip_gives_the_record_as_it_is(home: Machine, tmp_path: Path) -> None:
    file = home.export("runs/a", "sweeps/s")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unzipped")
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    listed = json.loads((tmp_path / "unzipped" / "nnlab-archive.json").read_bytes())
    (tmp_path / "unzipped" / "nnlab-archive.json").unlink()
    expected = {name: data for name, data in kept(home.outputs).items() if not name.startswith("sweeps/t/")}
    assert tree(tmp_path / "unzipped") == expected
    assert "sweeps/s/1/.hydra/overrides.yaml" in expected
    sums = {
        f"{record['place']}/{name}": (known["size"], known["sha256"])
        for record in listed["records"]
        for name, known in record["files"].items()
    }
    assert sums == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in expected.items()}
    shown = [(each["place"], each["kind"], each["run_id"], each["status"]) for each in listed["records"]]
    assert shown == [
        ("runs/a", "run", "a", "FINISHED"),
        ("sweeps/s", "sweep", "s", "FINISHED"),
        ("sweeps/s/0", "run", "s0", "FINISHED"),
        ("sweeps/s/1", "run", "s1", "FINISHED"),
    ]
    assert str(tmp_path) not in json.dumps(listed)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_the_last_bytes_are_the_sha256_of_all_before(home: Machine) -> None:
    data = home.export("runs/a").read_bytes()
    said = subprocess.run(["sha256sum"], input=data[:-64], capture_output=True, check=True).stdout
    assert said[:64] == data[-64:]


def test_the_same_records_are_the_same_bytes_wherever_they_are(home: Machine, machine: Machines) -> None:
    file = home.export("runs/a", "sweeps/t")
    away = machine("away")
    away.nnlab("import", file)
    assert away.export("sweeps/t", "runs/a", "sweeps/t").read_bytes() == file.read_bytes()
    assert "nothing to do" in home.nnlab("export", home.outputs / "sweeps/t", home.outputs / "runs/a", "-o", file)
    before = file.read_bytes()
    assert "holds something else" in home.nnlab("export", home.outputs / "runs/a", "-o", file, code=2)
    assert file.read_bytes() == before


def test_runs_that_a_sweep_refers_to_come_along(home: Machine, machine: Machines) -> None:
    away = machine("away")
    away.nnlab("import", home.export("sweeps/t"))
    assert {path.parent.name for path in away.outputs.glob("sweeps/*/*/journal.jsonl")} == {"0", "1"}
    assert kept(away.outputs / "sweeps/s/1") == kept(home.outputs / "sweeps/s/1")
    shutil.rmtree(home.outputs / "sweeps/s")
    printed = home.nnlab("export", home.outputs / "sweeps/t", "-o", home.outputs / "without.zip")
    assert "is gone: `nnlab resume` trains it anew" in printed


def test_a_run_is_named_by_its_id_as_well(home: Machine, tmp_path: Path) -> None:
    named = run(home.outputs / "runs" / "b", "0123456789abcdef" * 2)
    home.nnlab("export", "0123456789abcdef" * 2, "-o", tmp_path / "by-id.zip")
    home.nnlab("export", named, "-o", tmp_path / "by-path.zip")
    assert (tmp_path / "by-id.zip").read_bytes() == (tmp_path / "by-path.zip").read_bytes()
    assert "has the id" in home.nnlab("export", "f" * 32, "-o", tmp_path / "none.zip", code=2)
    assert "no such run directory" in home.nnlab("export", "nowhere", "-o", tmp_path / "none.zip", code=2)


def test_a_run_from_outside_gets_a_place_by_its_name(home: Machine, machine: Machines, tmp_path: Path) -> None:
    outside = run(tmp_path / "scratch" / "odd", "odd")
    home.nnlab("export", outside, "-o", tmp_path / "odd.zip")
    away = machine("away")
    away.nnlab("import", tmp_path / "odd.zip")
    assert kept(away.outputs / "runs" / "odd") == kept(outside)


@pytest.mark.parametrize("at_work", ["runs/a", "sweeps/s/1"])
def test_what_is_at_work_is_refused(home: Machine, tmp_path: Path, at_work: str) -> None:
    fd = os.open(home.outputs / at_work / "journal.jsonl", os.O_RDWR)
    assert locks.try_lock(fd)
    top = "/".join(at_work.split("/")[:2])
    assert "at work in another process" in home.nnlab("export", home.outputs / top, "-o", tmp_path / "a.zip", code=2)
    os.close(fd)
    assert not (tmp_path / "a.zip").exists()


def test_dead_and_torn_runs_are_exported_as_they_are(home: Machine, machine: Machines) -> None:
    dead = run(home.outputs / "runs" / "dead", "dead", ended=None)
    with (dead / "journal.jsonl").open("ab") as file:
        file.write(b'{"type":"metr')
    empty = home.outputs / "sweeps" / "s" / "7"
    (empty / ".hydra").mkdir(parents=True)
    (empty / "journal.jsonl").write_bytes(b"")
    away = machine("away")
    printed = away.nnlab("import", home.export("runs/dead", "sweeps/s"))
    assert f"interrupted; go on with: nnlab resume {away.outputs}/runs/dead" in printed
    assert kept(away.outputs / "runs" / "dead") == kept(dead)
    assert not (away.outputs / "sweeps" / "s" / "7").exists()


def test_what_can_not_be_taken_along_is_refused_in_a_line(home: Machine, tmp_path: Path) -> None:
    target, a = tmp_path / "out.zip", home.outputs / "runs" / "a"
    (tmp_path / "folder").mkdir()

    def refused(said: str, *what: object, output: object = target) -> None:
        assert said in home.nnlab("export", *what, "-o", output, code=2)
        assert not target.exists()
        assert not [path.name for path in tmp_path.rglob("*.tmp") if "epoch" not in path.name]

    refused("give the name of a file", a, output=tmp_path / "folder")
    refused("no such folder", a, output=tmp_path / "nowhere" / "a.zip")
    refused("would lie in", a, output=a / "a.zip")
    refused("holds no run", home.outputs)
    refused("is a file", a / "config.yaml")
    (a / "plots" / "link.png").symlink_to(tmp_path)
    refused("is a symbolic link", a)
    (a / "plots" / "link.png").unlink()
    os.mkfifo(a / "pipe")
    refused("is no regular file", a)
    (a / "pipe").unlink()
    (a / "new\nline").touch()
    refused("can't be printed", a)
    (a / "new\nline").unlink()
    for name in ("notes.md", "NOTES.md"):
        (a / name).touch()
    refused("are one file on some machines", a)
    for name in ("notes.md", "NOTES.md"):
        (a / name).unlink()
    shutil.copytree(a, home.outputs / "runs" / "copy")
    refused("is a copy of", a, home.outputs / "runs" / "copy")
    begun = home.outputs / "runs" / "begun"
    begun.mkdir()
    (begun / "config.yaml").touch()
    refused("was stopped before it began", begun)
    assert "-o" in home.nnlab("export", a, code=2)


def test_a_run_that_begins_while_it_is_copied_is_refused(home: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.portable import export as exporting

    directory = home.outputs / "runs" / "a"
    held: list[int] = []

    def begin(*_: object) -> dict[str, Path]:
        held.append(os.open(directory / "journal.jsonl", os.O_RDWR))
        assert locks.try_lock(held[0])
        return {}

    monkeypatch.setattr(exporting, "_files", begin)
    assert "at work" in home.nnlab("export", directory, "-o", home.outputs / "a.zip", code=2)
    os.close(held[0])
    assert not list(home.outputs.glob("*.zip"))


def test_a_disk_without_room_leaves_no_file(home: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = home.nnlab("export", home.outputs / "runs" / "a", "-o", tmp_path / "a.zip", code=1)
    assert "No space left" in said
    assert not list(tmp_path.glob("*a.zip*"))


def test_statuses_are_those_of_the_journals(home: Machine) -> None:
    gone_on = run(home.outputs / "runs" / "gone-on", "g", ended="KILLED")
    lines(gone_on, {"type": "tags", "tags": {"nnlab.resumed": "now"}}, status("FAILED"))
    with zipfile.ZipFile(home.export("runs/gone-on")) as archive:
        assert json.loads(archive.read("nnlab-archive.json"))["records"][0]["status"] == "FAILED"
