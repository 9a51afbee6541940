"""What was damaged, forged or torn is noticed, said, and not used; what is somebody else's is not written over."""

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab import checkpoint, index, journal, journal_lines, locks, noted, resuming, runner
from nnlab.clock import Clock
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from tests.jobs import job
from tests.reproduction.runs import without_plots

SECOND = 1_000_000_000


def begin(directory: Path, config_hash: str = "c") -> Journal:
    log = Journal(directory)
    log.write("run", run_id="r", tags={"nnlab.config_hash": config_hash})
    return log


def save(directory: Path, epoch: int, log: Journal | None = None, **manifest: Any) -> Path:
    folder = directory / "checkpoints" / checkpoint.name(epoch)
    checkpoint.write(
        folder, {"0.bias": np.full(3, epoch, np.float32)}, {"epoch": epoch, "config_hash": "c", **manifest}
    )
    if log is not None:
        log.metrics(epoch, {"val/loss": 1.0 / (1 + epoch)})
        log.write("artifact", path=f"checkpoints/{folder.name}", sha256=checkpoint.seal(folder))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    log = begin(directory)
    for epoch in (0, 2, 4):
        save(directory, epoch, log)
    log.release()
    return directory


def reseal(folder: Path, **changes: object) -> None:
    text = json.dumps(json.loads((folder / "manifest.json").read_bytes()) | changes).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text).hexdigest())


def forge(folder: Path) -> None:
    """Change a number, and make every hash in the checkpoint anew."""
    np.save(folder / "0.bias.npy", np.full(3, 9, np.float32))
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    files["0.bias.npy"]["sha256"] = hashlib.sha256((folder / "0.bias.npy").read_bytes()).hexdigest()
    reseal(folder, files=files)


def in_its_place(folder: Path, source: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(source, folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (forge, "the journal has another SHA-256"),
        (lambda folder: reseal(folder, step=1), "the journal has another SHA-256"),
        (
            lambda folder: in_its_place(folder, folder.with_name("epoch-000002")),
            "is the checkpoint of another epoch: of 2",
        ),
        (lambda folder: (folder / "notes.txt").touch(), r"does not name: notes\.txt"),
        (lambda folder: (folder / ".hidden").mkdir(), r"does not name: \.hidden"),
    ],
)
def test_a_checkpoint_that_is_not_the_one_the_run_has_written(
    damage: Callable[[Path], object], said: str, run: Path
) -> None:
    folder = run / "checkpoints" / "epoch-000004"
    assert checkpoint.problems(folder) is None
    damage(folder)
    with pytest.raises(NnlabError, match=said) as refused:
        checkpoint.read(folder)
    assert "\n" not in str(refused.value)
    with pytest.raises(NnlabError, match=rf"{said}.*; whole ones are those of the epochs 0, 2: choose one of them"):
        nnlab.load(run)
    assert resuming.start_epoch(run) == 2


def test_what_only_a_file_manager_has_left_is_no_damage(run: Path) -> None:
    (run / "checkpoints" / "epoch-000004" / ".DS_Store").write_bytes(b"x")
    assert resuming.damage(run) == []


def test_a_link_in_place_of_a_file_is_refused_even_where_it_leads_to_the_right_bytes(run: Path, tmp_path: Path) -> None:
    path = run / "checkpoints" / "epoch-000004" / "0.bias.npy"
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    assert "is a symbolic link" in str(checkpoint.problems(path.parent))


def test_another_runs_checkpoint_is_refused_where_the_journal_is_old_and_has_no_hash(tmp_path: Path) -> None:
    log = begin(tmp_path / "old")
    folder = save(tmp_path / "old", 2)
    log.write("artifact", path="checkpoints/epoch-000002")
    log.release()
    assert checkpoint.problems(folder) is None
    reseal(folder, config_hash="other")
    assert "another run" in str(checkpoint.problems(folder))


def test_a_checkpoint_may_be_copied_out_of_its_run(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run / "checkpoints" / "epoch-000004", tmp_path / "my network")
    assert checkpoint.problems(copy) is None


def test_the_journal_says_what_stands(run: Path) -> None:
    log = Journal(run)
    log.write("pruned", path="checkpoints/epoch-000002")
    log.release()
    assert noted.of(run / "checkpoints").seals.keys() == {"epoch-000000", "epoch-000004"}
    assert noted.of(run / "elsewhere").seals == {}


@pytest.mark.parametrize("which", ["last", "best"])
def test_a_last_checkpoint_that_is_gone_is_missed(run: Path, which: str) -> None:
    shutil.rmtree(run / "checkpoints" / "epoch-000004")
    with pytest.raises(NnlabError, match=r"epoch-000004, the last checkpoint, is missing"):
        checkpoint.find(run, which)
    assert resuming.damage(run) == [f"{run / 'checkpoints' / 'epoch-000004'} is missing"]
    assert resuming.start_epoch(run) == 2


def test_a_damaged_checkpoint_is_put_aside_and_not_deleted(run: Path) -> None:
    for number in range(2):
        folder = save(run, 4) if number else run / "checkpoints" / "epoch-000004"
        (folder / "mine.txt").write_text(f"notes {number}")
        log, said = Journal(run), list[str]()
        assert resuming.tidy(log, journal.replay(run), 2, said.append) == {0, 2}
        log.release()
        assert "put aside" in said[0]
    assert (run / "damaged" / "epoch-000004" / "mine.txt").read_text() == "notes 0"
    assert (run / "damaged" / "epoch-000004.2" / "mine.txt").read_text() == "notes 1"
    assert journal.read(run).artifacts == ["checkpoints/epoch-000000", "checkpoints/epoch-000002"]


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere"), Path.mkdir])
def test_whatever_is_in_the_place_of_a_checkpoint(run: Path, make: Callable[[Path], object]) -> None:
    folder = run / "checkpoints" / "epoch-000004"
    shutil.rmtree(folder)
    make(folder)
    assert resuming.start_epoch(run) == 2
    log = Journal(run)
    make(run / "checkpoints" / ".epoch-000004.tmp")
    assert resuming.tidy(log, journal.replay(run), 2, lambda _: None) == {0, 2}
    log.release()
    save(run, 4)
    assert checkpoint.problems(folder) is None


def test_a_checkpoint_that_is_not_journalled_stands_only_if_it_is_begun_from(run: Path) -> None:
    save(run, 6)
    for begun, whole in ((6, {0, 2, 4, 6}), (4, {0, 2, 4, 6}), (-1, {0, 2, 4})):
        copy = shutil.copytree(run, run.with_name(f"from {begun}"))
        log = Journal(copy)
        if begun == 4:
            log.write("artifact", path="checkpoints/epoch-000006")
        assert resuming.tidy(log, journal.replay(copy), begun, lambda _: None) == whole
        log.release()


def test_an_older_checkpoint_that_is_damaged_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    one = job("training.epochs=6", "checkpoint.every=2", "checkpoint.keep=all")
    directory = tmp_path / "a"
    runner.run([one], [directory])
    before = {path: path.read_bytes() for path in directory.glob("checkpoints/*/*")}
    path = directory / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + b'{"type":"st')
    (directory / "checkpoints" / "epoch-000002" / "0.bias.npy").write_bytes(b"")
    assert resuming.start_epoch(directory) < 2
    (outcome,) = runner.run([one], [directory], resume=True)
    assert outcome.status == "FINISHED"
    assert {path: path.read_bytes() for path in directory.glob("checkpoints/*/*")} == before
    log = (directory / "train.log").read_text()
    assert f"the last 11 bytes of {path} are a torn line, left out" in log
    assert "epoch-000002 is put aside" in log


def test_a_torn_tail_is_told_unless_a_living_process_is_writing_it(run: Path) -> None:
    path = run / journal.NAME
    assert journal_lines.torn(path) is None
    with path.open("ab") as file:
        file.write(b'{"type":"metr')
    said = f"the last 13 bytes of {path} are a torn line, left out"
    assert journal_lines.torn(path) == said
    assert resuming.damage(run) == [said]
    assert index.entries([run])[0].torn == said
    log = Journal(run)
    os.write(log._fd, b'{"type":"metr')
    assert journal_lines.torn(path) is None
    assert index.entries([run])[0].torn is None
    log.release()


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"\0\n", b"garbage\n", b'{"a":1}\n[]\n', b"[" * 100_000 + b"\n"])
def test_garbage_behind_the_last_line_is_left_out_and_what_is_more_than_a_line_is_kept(run: Path, tail: bytes) -> None:
    path = run / journal.NAME
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert sorted(journal.read(run).steps) == [0, 2, 4]
    log = Journal(run)
    assert log.torn == len(tail)
    log.close("FINISHED")
    assert path.read_bytes().startswith(whole + b'{"type":"status"')
    kept = run / "damaged" / f"journal.jsonl.from-{len(whole)}"
    assert kept.exists() == (b"\n" in tail)
    assert not kept.exists() or kept.read_bytes() == tail


def test_garbage_between_lines_is_refused_with_what_to_do(run: Path) -> None:
    path = run / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    start = len(lines[0] + lines[1])
    path.write_bytes(b"".join([*lines[:2], b"\0\0\n", *lines[2:]]))
    with pytest.raises(NnlabError, match=rf"cut to its first {start} bytes, it can be resumed"):
        journal.read(run)
    path.write_bytes(path.read_bytes()[:start])
    assert journal.read(run).steps == {0: {"val/loss": 1.0}}


def test_a_file_of_somebody_elses_is_never_cut(tmp_path: Path) -> None:
    path = tmp_path / journal.NAME
    path.write_text("2026-11-22 today I trained a network\n")
    for refuse in (Journal, journal.read, resuming.check_unused):
        with pytest.raises(NnlabError):
            refuse(tmp_path)
    assert path.read_text() == "2026-11-22 today I trained a network\n"
    assert not locks.is_locked(path)


def test_a_second_writer_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    by = rf" \(pid {os.getpid()}\)" if Path("/proc/locks").exists() else ""
    with pytest.raises(NnlabError, match=f"is being written by another process{by}: a run has one trainer at a time"):
        Journal(tmp_path)
    first.release()


def test_the_clock_of_a_journal_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [2_000_000_000 * SECOND]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    log = Journal(tmp_path)
    for move in (0, 5, -3600, 1, 3700, -86_400):
        now[0] += move * SECOND
        log.metrics(0, {"val/loss": 1.0})
    log.release()
    now[0] -= 1000 * SECOND
    Journal(tmp_path).close("FINISHED")
    times = [json.loads(line)["timestamp"] for line in (tmp_path / journal.NAME).read_bytes().splitlines()]
    assert times == sorted(times)
    assert times[1] - times[0] == 5000
    assert times[4] == 2_000_000_106_000, "once the system's clock is ahead again, it counts"
    assert times[-1] - times[4] < 60_000


def test_time_goes_on_while_the_systems_clock_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = [0]
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "monotonic_ns", lambda: ticks[0])
    clock = Clock(last=1000)
    seen = []
    for _ in range(3):
        seen.append(clock.now())
        ticks[0] += SECOND // 2
    assert seen == [1000, 1500, 2000]


def test_a_record_of_before_whose_clock_went_back_has_lasted_no_time(tmp_path: Path) -> None:
    lines = [
        {"type": "run", "timestamp": 5000, "run_id": "r"},
        {"type": "status", "timestamp": 1000, "status": "FINISHED", "reason": None},
    ]
    (tmp_path / journal.NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert journal.read(tmp_path).ended == 5000


def test_a_damaged_index_is_never_believed_and_made_anew(run: Path, outputs: Path) -> None:
    outputs.mkdir()
    expected = index.entries([run])
    path = outputs / index.NAME
    whole = path.read_bytes()
    places = [place for place in range(len(whole)) if whole[place]]
    for place in [*range(100), *places[:: max(1, len(places) // 200)]]:
        for byte in (whole[place] ^ 1, 0xFF):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            assert index.entries([run]) == expected
    for size in (0, 1, 100, 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert index.entries([run]) == expected
    with sqlite3.connect(path) as cache:
        cache.execute("DROP TABLE IF EXISTS runs")
    cache.close()
    for _ in range(2):  # one finds out, the next makes it
        assert index.entries([run]) == expected
    index.entries([run])
    cache = sqlite3.connect(path)
    assert cache.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    cache.close()
