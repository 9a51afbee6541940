"""Checkpoints are written while the training goes on, and nothing is lost by it: with a disk that answers when told."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nnlab import checkpoint, closing, journal, locks, resuming, runner
from nnlab.journal import Journal
from nnlab.training import EpochResult
from nnlab.watcher import Outcome
from tests.jobs import job
from tests.reproduction.runs import without_plots

WAIT = 30.0  # seconds, after which a test fails that would last for ever


class Disk:
    """Where checkpoints are written.

    Attributes:
        answers: is set while it does.
        is_asked: was set when it was first asked.
        refused: seed and epoch of the checkpoint that there is no room for.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self.answers, self.is_asked = threading.Event(), threading.Event()
        self.refused: tuple[int, int] | None = None
        self._write = write

    def write(self, folder: Path, arrays: Any, manifest: dict[str, Any]) -> None:
        self.is_asked.set()
        assert self.answers.wait(WAIT)
        if (manifest["seed"], manifest["epoch"]) == self.refused:
            raise OSError(28, "No space left on device", str(folder))
        self._write(folder, arrays, manifest)

    def answer_soon(self) -> None:
        timer = threading.Timer(0.3, self.answers.set)
        timer.daemon = True
        timer.start()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    without_plots(monkeypatch)
    slow = Disk(checkpoint.write)
    monkeypatch.setattr(checkpoint, "write", slow.write)
    yield slow
    slow.answers.set()


class After:
    """Does something when training has come to an epoch, and knows the epochs that there were."""

    def __init__(self, epoch: int, action: Callable[[], object]) -> None:
        self.at, self.action = epoch, action
        self.epochs: list[int] = []

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:
        self.epochs.append(result.epoch)
        if result.epoch == self.at:
            self.action()

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        pass


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("checkpoints/*/*")}


def undisturbed(directory: Path, disk: Disk, *overrides: str) -> dict[str, bytes]:
    disk.answers.set()
    assert runner.run([job(*overrides)], [directory]) == [Outcome("FINISHED")]
    disk.answers.clear()
    return files(directory)


def test_training_does_not_wait_for_the_disk(tmp_path: Path, disk: Disk) -> None:
    expected = undisturbed(tmp_path / "undisturbed", disk)
    watcher = After(4, disk.answers.set)
    assert runner.run([job()], [tmp_path / "run"], progress=watcher) == [Outcome("FINISHED")]
    assert watcher.epochs == [*range(6)]
    assert files(tmp_path / "run") == expected != {}


def test_no_second_one_waits_for_a_slow_disk(tmp_path: Path, disk: Disk) -> None:
    expected = undisturbed(tmp_path / "undisturbed", disk, "checkpoint.every=1", "checkpoint.keep=all")
    come_to: list[int] = []

    def answer() -> None:
        come_to.extend(watcher.epochs)
        disk.answers.set()

    watcher = After(0, lambda: threading.Timer(0.3, answer).start())
    given = job("checkpoint.every=1", "checkpoint.keep=all")
    assert runner.run([given], [tmp_path / "run"], progress=watcher) == [Outcome("FINISHED")]
    assert come_to == [0]
    assert files(tmp_path / "run") == expected


def test_killed_before_the_disk_has_answered(tmp_path: Path, disk: Disk) -> None:
    """What is there then is gone on from, and comes to the same bytes."""
    first = ("checkpoint.every=2", "checkpoint.keep=all")
    expected = undisturbed(tmp_path / "undisturbed", disk, *first)
    copy = tmp_path / "copy"

    def killed() -> None:
        assert disk.is_asked.wait(WAIT)
        shutil.copytree(tmp_path / "run", copy)
        disk.answers.set()

    runner.run([job(*first)], [tmp_path / "run"], progress=After(1, killed))
    assert max(journal.read(copy).steps) == 1
    assert resuming.start(copy) is None
    assert runner.run([job(*first)], [copy], resume=True) == [Outcome("FINISHED")]
    assert files(copy) == expected


@pytest.mark.parametrize("epoch", [0, 2, 5])
def test_what_the_disk_refuses_ends_that_run_alone(epoch: int, tmp_path: Path, disk: Disk) -> None:
    disk.answers.set()
    disk.refused = (1, epoch)
    directories = [tmp_path / str(seed) for seed in range(3)]
    outcomes = runner.run([job("checkpoint.every=1", f"seed={seed}") for seed in range(3)], directories)
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FAILED", "FINISHED"]
    record = journal.read(directories[1])
    folder = directories[1] / "checkpoints" / checkpoint.name(epoch)
    assert record.status == "FAILED"
    assert record.reason == outcomes[1].reason
    assert "No space left on device" in str(record.reason)
    assert str(folder) in str(record.reason)
    assert not folder.exists()
    assert max(record.steps) <= epoch + 1
    assert {path for path in record.artifacts if not (directories[1] / path).exists()} == set()
    assert "in _write_one" in (directories[1] / "train.log").read_text()


def test_a_checkpoint_that_can_not_be_journalled_ends_the_run(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(tmp_path / "undisturbed", disk, "checkpoint.every=2")
    write = Journal.write

    def full(self: Journal, type: str, **fields: Any) -> None:  # noqa: A002 - the key in the file
        if fields.get("path") == "checkpoints/epoch-000002":
            raise OSError(28, "No space left on device", str(self.path))
        write(self, type, **fields)

    disk.answers.set()
    with monkeypatch.context() as context:
        context.setattr(Journal, "write", full)
        (outcome,) = runner.run([job("checkpoint.every=2")], [tmp_path / "run"])
    assert outcome.status == journal.read(tmp_path / "run").status == "FAILED"
    assert outcome.reason == f"{tmp_path / 'run' / journal.NAME}: No space left on device"
    assert runner.run([job("checkpoint.every=2")], [tmp_path / "run"], resume=True) == [Outcome("FINISHED")]
    assert files(tmp_path / "run") == expected


def test_an_interrupted_run_is_closed_when_its_checkpoint_is_there(tmp_path: Path, disk: Disk) -> None:
    def interrupt() -> None:
        disk.answer_soon()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run([job()], [tmp_path / "run"], progress=After(2, interrupt))
    record = journal.read(tmp_path / "run")
    assert record.status == "KILLED"
    assert record.artifacts.count("checkpoints/epoch-000000") == 1
    assert resuming.start(tmp_path / "run") is not None
    last = json.loads((tmp_path / "run" / journal.NAME).read_text().splitlines()[-1])
    assert (last["type"], last["status"]) == ("status", "KILLED")
    assert not locks.is_locked(tmp_path / "run" / journal.NAME)


def test_a_large_interrupted_stack_leaves_out_what_is_not_begun(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "_SECONDS", 0.0)
    directories = [tmp_path / str(seed) for seed in range(3)]

    def interrupt() -> None:
        assert disk.is_asked.wait(WAIT)
        disk.answer_soon()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run([job(f"seed={seed}") for seed in range(3)], directories, progress=After(2, interrupt))
    assert [journal.read(each).status for each in directories] == ["KILLED"] * 3
    assert [len(files(each)) > 0 for each in directories] == [True, False, False]
    for each in directories:
        assert '"type":"status"' in (each / journal.NAME).read_text().splitlines()[-1]
