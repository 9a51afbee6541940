"""`nnlab import`: what becomes of runs that are here already, longer, shorter, other ones, or elsewhere."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnlab import journal, locks
from nnlab.portable import placing
from nnlab.tracking import runs
from tests.portable.conftest import Machine, Machines
from tests.portable.records import epochs, kept, lines, run, status, sweep, tree


@pytest.fixture
def home(machine: Machines) -> Machine:
    home = machine("home")
    run(home.outputs / "runs" / "a", "a", ended=None)
    sweep(home.outputs / "sweeps" / "s", "s", 2)
    return home


@pytest.fixture
def away(machine: Machines) -> Machine:
    return machine("away")


def go_on(directory: Path) -> None:
    """Do what a resumed run does: epochs, checkpoints that come and go, its end."""
    lines(directory, {"type": "tags", "tags": {"nnlab.resumed": "now"}})
    epochs(directory, 3, 4)
    with (directory / "train.log").open("a") as file:
        file.write("resumed\n")
    lines(directory, status("FINISHED"))


def test_a_second_time_changes_nothing_and_says_so(home: Machine, away: Machine) -> None:
    file = home.export("runs/a", "sweeps/s")
    assert "imported 3 runs and 1 sweep: new" in away.nnlab("import", file)
    assert kept(away.outputs) == kept(home.outputs)
    assert not any("local" in name or ".reserve" in name for name in tree(away.outputs))
    before = {path: path.stat().st_mtime_ns for path in away.outputs.rglob("*")}
    assert "nothing to do: 3 runs and 1 sweep already here" in away.nnlab("import", file)
    assert {path: path.stat().st_mtime_ns for path in away.outputs.rglob("*")} == before


def test_there_and_back(home: Machine, away: Machine) -> None:
    directory = home.outputs / "runs" / "a"
    with (directory / "journal.jsonl").open("ab") as file:
        file.write(b'{"type":"metr')  # cut off by the writer who goes on
    away.nnlab("import", home.export("runs/a", "sweeps/s"))
    local = {name: data for name, data in tree(home.outputs).items() if name not in kept(home.outputs)}
    with (away.outputs / "runs" / "a" / "journal.jsonl").open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - len(b'{"type":"metr'))
    go_on(away.outputs / "runs" / "a")
    back = away.export("runs/a", "sweeps/s")
    assert "1 extended, 3 already here" in home.nnlab("import", back)
    assert kept(home.outputs) == kept(away.outputs)
    del local["runs/a/.reserve"]  # given back when a journal is closed
    assert local.items() <= tree(home.outputs).items()
    assert not (directory / "checkpoints" / "epoch-000002").exists()  # pruned meanwhile
    assert "nothing to do" in home.nnlab("import", back)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(here=st.floats(0, 1), there=st.floats(0, 1))
def test_of_two_copies_the_longer_one_stays(machine: Machines, here: float, there: float) -> None:
    whole = run(machine("whole").outputs / "runs" / "a", "a")
    data = (whole / "journal.jsonl").read_bytes()
    shutil.rmtree(whole)
    first = data.index(b"\n") + 1
    lines_of = []
    for name, share in (("one", here), ("other", there)):
        directory = machine(name).outputs / "runs" / "a"
        directory.mkdir(parents=True)
        cut = data[: first + round(share * (len(data) - first))]
        (directory / "journal.jsonl").write_bytes(cut)
        lines_of.append(cut[: cut.rindex(b"\n") + 1])
    file = machine("other").export("runs/a")
    machine("one").nnlab("import", file)
    machine("one").nnlab("import", file)
    left = (machine("one").outputs / "runs" / "a" / "journal.jsonl").read_bytes()
    assert left[: left.rindex(b"\n") + 1] == max(lines_of, key=len)
    for name in ("one", "other"):
        shutil.rmtree(machine(name).outputs)
    file.unlink()


def test_ctrl_c_leaves_all_as_it_was(home: Machine, away: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    file = home.export("runs/a")
    away.nnlab("import", file)
    go_on(home.outputs / "runs" / "a")
    file, before = home.export("runs/a"), tree(away.outputs)
    with monkeypatch.context() as patched:
        patched.setattr(placing, "put", interrupt)
        assert "interrupted" in away.nnlab("import", file, code=130)
    assert tree(away.outputs) == before
    away.nnlab("import", file)
    assert kept(away.outputs / "runs" / "a" / "checkpoints") == kept(home.outputs / "runs" / "a" / "checkpoints")


def test_what_is_further_here_stays(home: Machine, away: Machine) -> None:
    early = home.export("runs/a")
    go_on(home.outputs / "runs" / "a")
    before = tree(home.outputs)
    assert "1 run further here" in home.nnlab("import", early)
    assert tree(home.outputs) == before


def test_files_that_somebody_put_beside_a_run_are_not_overwritten(home: Machine, away: Machine) -> None:
    (home.outputs / "runs" / "a" / "notes.md").write_text("first")
    away.nnlab("import", home.export("runs/a"))
    for machine, text in ((home, "mine"), (away, "theirs")):
        (machine.outputs / "runs" / "a" / "notes.md").write_text(text)
    (away.outputs / "runs" / "a" / "more.md").write_text("more")
    go_on(away.outputs / "runs" / "a")
    home.nnlab("import", away.export("runs/a"))
    assert (home.outputs / "runs" / "a" / "notes.md").read_text() == "mine"
    assert (home.outputs / "runs" / "a" / "more.md").read_text() == "more"
    assert (home.outputs / "runs" / "a" / "train.log").read_text() == "begun\nresumed\n"


def test_a_run_that_was_reproduced_on_both_machines_is_the_same_run(home: Machine, away: Machine) -> None:
    away.nnlab("import", home.export("sweeps/s"))
    for machine in (home, away):
        journal.annotate(machine.outputs / "sweeps/s/1", {"nnlab.reproduced_by": machine.outputs.name})
    before = tree(home.outputs)
    run(away.outputs / "sweeps" / "s" / "2", "s2", parent="s")
    assert "2 already here, 1 noted otherwise, 1 new" in home.nnlab("import", away.export("sweeps/s"))
    assert before.items() <= tree(home.outputs).items()
    journal.annotate(home.outputs / "sweeps/s/0", {"nnlab.reproduced_by": "home"})
    assert "imported 1 run: extended" in away.nnlab("import", home.export("sweeps/s/0"))


def test_lost_files_come_back(home: Machine) -> None:
    file = home.export("runs/a")
    before = tree(home.outputs)
    shutil.rmtree(home.outputs / "runs" / "a" / "checkpoints")
    (home.outputs / "runs" / "a" / "config.yaml").unlink()
    assert "imported 1 run: extended" in home.nnlab("import", file)
    assert kept(home.outputs).items() <= before.items()
    assert (home.outputs / "runs/a/checkpoints/epoch-000002/0.weight.npy").exists()


@pytest.mark.parametrize("what", ["diverged", "another run", "another sweep", "a file", "a link", "at work", "garbage"])
def test_what_can_not_be_made_one_is_refused_and_nothing_is_changed(home: Machine, away: Machine, what: str) -> None:
    away.nnlab("import", home.export("runs/a"))
    go_on(home.outputs / "runs" / "a")
    run(home.outputs / "runs" / "0-first", "first")
    file = home.export("runs/0-first", "runs/a", "sweeps/s/1")
    directory, fd = away.outputs / "runs" / "a", None
    match what:
        case "diverged":
            lines(directory, {"type": "tags", "tags": {"nnlab.resumed": "another time"}})
            said = f"{directory} and the archive's copy of it have gone different ways (from line 12 of"
        case "another run":
            shutil.rmtree(directory)
            run(directory, "b")
            said = f"{directory} holds another run"
        case "another sweep":
            sweep(away.outputs / "sweeps" / "s", "other", 1)
            said = "is another sweep"
        case "a file":
            (directory / "train.log").unlink()
            (directory / "train.log").mkdir()
            said = "train.log is in the way"
        case "a link":
            (away.outputs / "runs" / "a" / "checkpoints").rename(away.outputs / "elsewhere")
            (directory / "checkpoints").symlink_to(away.outputs / "elsewhere")
            said = "checkpoints is in the way"
        case "at work":
            fd = os.open(directory / "journal.jsonl", os.O_RDWR)
            assert locks.try_lock(fd)
            said = "at work in another process"
        case _:
            (directory / "journal.jsonl").write_bytes(b"garbage\n")
            said = "is damaged"
    before = tree(away.outputs)
    assert said in away.nnlab("import", file, code=2)
    assert tree(away.outputs) == before
    assert not (away.outputs / ".import").exists()
    if fd is not None:
        os.close(fd)


def test_a_run_is_known_by_its_id_wherever_it_is(home: Machine, away: Machine, tmp_path: Path) -> None:
    outside = run(tmp_path / "scratch" / "odd", "odd", ended=None)
    runs.note(home.outputs, outside)
    (home.outputs / "sweeps" / "s").rename(home.outputs / "sweeps" / "renamed")
    home.nnlab("export", outside, home.outputs / "sweeps" / "renamed", "-o", tmp_path / "both.zip")
    away.nnlab("import", tmp_path / "both.zip")
    (away.outputs / "sweeps" / "renamed").rename(away.outputs / "sweeps" / "s")
    go_on(away.outputs / "runs" / "odd")
    run(away.outputs / "sweeps" / "s" / "2", "s2", parent="s")
    assert "1 extended, 3 already here, 1 new" in home.nnlab("import", away.export("runs/odd", "sweeps/s"))
    assert kept(outside) == kept(away.outputs / "runs" / "odd")
    assert kept(home.outputs / "sweeps" / "renamed") == kept(away.outputs / "sweeps" / "s")
    assert not (home.outputs / "sweeps" / "s").exists()
    assert not (home.outputs / "runs" / "odd").exists()


def test_deep_jobs_are_found_where_they_are_imported(home: Machine, away: Machine) -> None:
    deep = run(home.outputs / "sweeps" / "s" / "lr=1" / "seed=2", "deep", parent="s")
    away.nnlab("import", home.export("sweeps/s"))
    assert away.outputs / deep.relative_to(home.outputs) in runs.find(away.outputs)


def test_a_job_that_had_not_begun_here_is_new(home: Machine, away: Machine) -> None:
    away.nnlab("import", home.export("sweeps/s"))
    job = home.outputs / "sweeps" / "s" / "1"
    for path in (*job.glob("checkpoints/epoch*/*"), *job.glob("plots/*"), job / "config.yaml"):
        path.unlink()
    (job / "journal.jsonl").write_bytes(b'{"torn')
    home.nnlab("import", away.export("sweeps/s"))
    assert kept(home.outputs / "sweeps") == kept(away.outputs / "sweeps")


def test_folders_on_another_file_system_are_copied_to(
    home: Machine, away: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_device(self: Path, target: Path) -> None:
        if ".import" in self.parts:
            raise OSError(18, "Invalid cross-device link", str(self))
        os.replace(self, target)  # noqa: PTH105 - what is patched

    monkeypatch.setattr(Path, "replace", other_device)
    away.nnlab("import", home.export("runs/a", "sweeps/s"))
    assert kept(away.outputs) == kept(home.outputs)
    go_on(away.outputs / "runs" / "a")
    home.nnlab("import", away.export("runs/a"))
    assert kept(away.outputs) == kept(home.outputs)


def test_one_import_at_a_time(home: Machine, away: Machine) -> None:
    from nnlab.portable.staging import staging

    file = home.export("runs/a")
    with staging(away.outputs):
        assert "another `nnlab import` is at work" in away.nnlab("import", file, code=1)
    away.nnlab("import", file)


def test_an_archive_that_does_not_fit_is_refused_before_it_fills_the_disk(
    home: Machine, away: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.export("runs/a")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert "MB left where" in away.nnlab("import", file, code=1)
    assert not away.outputs.exists()
