"""What the file system refuses is said in one line that names the file, and closes the run as well as can be."""

import errno
import os
from pathlib import Path

import pytest

from nnlab import atomic_file, checkpoint, journal, output, pictures, runner
from nnlab.errors import NnlabError, describe, naming
from nnlab.journal import Journal
from nnlab.recorder import Recorder
from tests.jobs import job
from tests.reproduction.runs import without_plots

QUICK = ["architecture.hidden_sizes=[4]", "training.epochs=6", "checkpoint.every=2"]


def refuse(*_arguments: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_names_the_file_it_is_about(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, naming(tmp_path / "file"):
        refuse()
    assert describe(caught.value) == f"{tmp_path / 'file'}: No space left on device"
    with pytest.raises(FileNotFoundError) as missing, naming("another"):
        (tmp_path / "absent").read_bytes()
    assert describe(missing.value) == f"{tmp_path / 'absent'}: No such file or directory"
    assert describe(NnlabError("said already")) == "said already"
    assert describe(ZeroDivisionError("no file at all")) == "ZeroDivisionError: no file at all"


def test_a_full_disk_has_room_for_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the file beside the journal is there, the disk counts as full; it is at least a block."""
    real, reserve = os.write, tmp_path / ".reserve"
    record = Journal(tmp_path)
    record.metrics(0, {"loss": 1.0})
    assert reserve.stat().st_size >= 4096
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda fd, data: refuse() if reserve.exists() else real(fd, data))
        with pytest.raises(OSError, match="No space") as caught:
            record.metrics(1, {"loss": 1.0})
        assert caught.value.filename == str(tmp_path / journal.NAME)
        record.close("FAILED", "the disk is full")
    result = journal.read(tmp_path)
    assert (result.steps, result.status, result.reason) == ({0: {"loss": 1.0}}, "FAILED", "the disk is full")
    assert not reserve.exists()


def test_no_reserve_is_left_behind(tmp_path: Path) -> None:
    Journal(tmp_path / "run").release()
    assert [path.name for path in (tmp_path / "run").iterdir()] == [journal.NAME]
    Journal(tmp_path / "run").close("FINISHED")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [journal.NAME]


def test_a_run_whose_end_cannot_be_recorded_has_failed_and_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    real = os.write
    with monkeypatch.context() as broken_disk:
        broken_disk.setattr(os, "write", lambda fd, data: refuse() if b'"status":"F' in data else real(fd, data))
        (outcome,) = runner.run([job(*QUICK)], [tmp_path])
    assert outcome.status == "FAILED"
    assert "its end could not be recorded" in str(outcome.reason)
    assert journal.read(tmp_path).metrics["final/test_accuracy"] > 0
    (again,) = runner.run([job(*QUICK)], [tmp_path], resume=True)
    assert (again.status, journal.read(tmp_path).status) == ("FINISHED", "FINISHED")


def test_a_log_that_cannot_be_written_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    original = Recorder.log

    def full_disk(self: Recorder, message: str) -> None:
        if message.startswith("FINISHED"):
            raise OSError(errno.ENOSPC, "No space left on device", str(self.directory / "train.log"))
        original(self, message)

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "log", full_disk)
        (outcome,) = runner.run([job(*QUICK)], [tmp_path])
    record = journal.read(tmp_path)
    assert outcome.status == record.status == "FAILED"
    assert outcome.reason == record.reason == f"{tmp_path / 'train.log'}: No space left on device"


def test_no_half_of_a_picture_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(recorder: Recorder) -> None:
        def write(path: Path) -> None:
            path.write_bytes(b"half")
            refuse()

        recorder.artifact("plots/loss.png", write)

    monkeypatch.setattr(pictures, "draw_curves", half)
    (outcome,) = runner.run([job(*QUICK)], [tmp_path])
    assert outcome.reason == f"{tmp_path / 'plots/loss.png'}: No space left on device"
    assert not (tmp_path / "plots/loss.png").exists()
    assert "plots/loss.png" not in journal.read(tmp_path).artifacts
    assert checkpoint.problems(checkpoint.find(tmp_path)) is None


def test_a_run_that_cannot_begin_says_so_in_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full_disk:
        full_disk.setattr(atomic_file, "write", refuse)
        (outcome,) = runner.run([job(*QUICK)], [tmp_path])
    record = journal.read(tmp_path)
    assert (outcome.status, record.status) == ("FAILED", "FAILED")
    assert outcome.reason == record.reason == f"{tmp_path / 'config.yaml'}: No space left on device"


class Full:
    """A standard output on a full disk."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        refuse()

    def fileno(self) -> int:
        return self._fd


def test_a_standard_output_that_fails_is_said_once_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stdout").open("wb") as file:
        with monkeypatch.context() as full_disk:
            full_disk.setattr("sys.stdout", Full(file.fileno()))
            output.say("a line")  # goes nowhere, and nothing ends
        with pytest.raises(NnlabError, match="the standard output: No space left on device"):
            output.check()
    output.check()
