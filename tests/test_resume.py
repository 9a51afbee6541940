"""A run that was killed and gone on with is, byte for byte, the run that never stopped."""

import json
import shutil
from pathlib import Path

import pytest

from nnlab import checkpoint, journal, locks, recorded_training, resuming, runner
from nnlab.compose import Job
from nnlab.errors import NnlabError
from nnlab.training import EpochResult
from nnlab.watcher import Outcome
from tests.jobs import job
from tests.reproduction.runs import without_plots

pytestmark = pytest.mark.usefixtures("prompt_checkpoints")

EVERYTHING = [
    "architecture.hidden_sizes=[7,5]",
    "architecture.dropout=0.2",
    "architecture.batch_norm=true",
    "training.epochs=9",
    "training.log_every_updates=2",
    "checkpoint.every=2",
]
SETTINGS = {
    "dropout and batch norm": EVERYTHING,
    "momentum": [*EVERYTHING, "optimizer.momentum=0.9", "optimizer.weight_decay=0.01", "training.dtype=float64"],
    "adam on a plateau": [*EVERYTHING, "optimizer=adam", "schedule=reduce_on_plateau", "schedule.patience=0"],
    "one cycle of updates": [*EVERYTHING, "schedule=one_cycle", "training.updates=31", "training.batch_size=30"],
    "batches that wrap": [*EVERYTHING, "training.batching=wrap", "training.batch_size=30", "loss.l2=0.1"],
    "no checkpoints but the first": [*EVERYTHING, "checkpoint.every=null"],
    "checkpoints by the clock": [*EVERYTHING, "checkpoint.every=auto"],
    "every checkpoint kept": [*EVERYTHING, "checkpoint.keep=all", "checkpoint.every=3"],
    "early stopping": [
        *EVERYTHING,
        "optimizer.lr=0.9",
        "training.epochs=30",
        "training.early_stopping.patience=3",
        "training.early_stopping.monitor=train/loss",
        "training.early_stopping.min_delta=0.2",
    ],
    "early stopping without going back": [
        *EVERYTHING,
        "optimizer.lr=0.9",
        "training.epochs=30",
        "training.early_stopping.patience=2",
        "training.early_stopping.restore_best=false",
        "training.diagnostics=[grad_norm,update_ratio]",
    ],
    "no validation part": [*EVERYTHING, "dataset.split=whole", "training.eval_every=3"],
    "augmented images": [
        "dataset=digits",
        "augmentation=shift_rotate",
        "training.epochs=4",
        "training.batch_size=200",
        "checkpoint.every=2",
    ],
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a small run's time; tests/test_runner.py has a resumed run with them."""
    without_plots(monkeypatch)


class Copying:
    """Copies the runs' directories after some epochs: what a trainer that is killed there leaves behind."""

    def __init__(self, source: Path, target: Path, every: int = 1) -> None:
        self.source, self.target, self.every = source, target, every

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:
        if result.epoch % self.every == 0:
            shutil.copytree(self.source, self.target / f"epoch{result.epoch}")

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        shutil.copytree(self.source, self.target / f"{directory.name} ended")


def files(directory: Path) -> dict[str, bytes]:
    """Every byte of a run's checkpoints."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("checkpoints/*/*")}


def lines(directory: Path) -> list[tuple[int, str, float]]:
    """Every journalled number but the clock's: a doubled one would be there twice."""
    events = [json.loads(line) for line in (directory / journal.NAME).read_text().splitlines()]
    return sorted(
        (event["step"], name, value)
        for event in events
        if event["type"] == "metrics"
        for name, value in event["metrics"].items()
        if not name.startswith("time/")
    )


def assert_same(directory: Path, undisturbed: Path) -> None:
    assert files(directory) == files(undisturbed) != {}
    assert lines(directory) == lines(undisturbed) != []
    record, expected = journal.read(directory), journal.read(undisturbed)
    assert record.status == expected.status == "FINISHED"
    assert sorted(record.artifacts) == sorted(expected.artifacts)
    assert {path for path in record.artifacts if not (directory / path).exists()} == set()
    assert record.run["run_id"] == expected.run["run_id"]
    events = [json.loads(line)["type"] for line in (directory / journal.NAME).read_text().splitlines()]
    assert events.count("run") == events.count("params") == 1


@pytest.fixture
def auto_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_training, "AUTO_SECONDS", 0.02)


@pytest.fixture(params=SETTINGS)
def jobs(request: pytest.FixtureRequest) -> list[Job]:
    return [job(*SETTINGS[request.param], f"seed={seed}") for seed in range(2)]


@pytest.mark.usefixtures("auto_is_short")
def test_killed_between_any_two_epochs(jobs: list[Job], tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    runner.run(jobs, [undisturbed / "a", undisturbed / "b"], progress=Copying(undisturbed, tmp_path / "copies"))
    copies = sorted((tmp_path / "copies").iterdir())
    assert len(copies) >= 5
    for copy in copies[1 :: max(1, len(copies) // 3)]:
        outcomes = runner.run(jobs, [copy / "a", copy / "b"], resume=True)
        assert {outcome.status for outcome in outcomes} == {"FINISHED"}
        for name in "ab":
            assert_same(copy / name, undisturbed / name)


def test_what_a_kill_leaves_half_done_is_mended(tmp_path: Path) -> None:
    (one,) = [job(*EVERYTHING)]
    undisturbed, copies = tmp_path / "undisturbed", tmp_path / "copies"
    runner.run([one], [undisturbed / "a"], progress=Copying(undisturbed, copies))
    directory = copies / "epoch7" / "a"
    path = directory / journal.NAME
    path.write_bytes(path.read_bytes()[:-10])  # a torn line
    shutil.copytree(directory / "checkpoints" / "epoch-000006", directory / "checkpoints" / ".epoch-000008.tmp")
    (directory / "checkpoints" / "epoch-000006" / "0.weight.npy").write_bytes(b"damaged")
    first = directory / "checkpoints" / "epoch-000000"
    assert resuming.start_epoch(directory) < 6
    runner.run([one], [directory], resume=True)
    assert_same(directory, undisturbed / "a")
    assert not list(directory.glob("checkpoints/.*"))
    assert first.is_dir()


@pytest.mark.parametrize("size", [0, 1, 200, 5000, 8000])
def test_killed_while_the_run_begins(size: int, tmp_path: Path) -> None:
    """The journal cut at any place, and nothing else there: whatever came after it is done again."""
    one = job(*EVERYTHING)
    runner.run([one], [tmp_path / "undisturbed"])
    whole = (tmp_path / "undisturbed" / journal.NAME).read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / journal.NAME).write_bytes(whole[:size])
    runner.run([one], [tmp_path / "cut"], resume=True)
    assert files(tmp_path / "cut") == files(tmp_path / "undisturbed")
    assert lines(tmp_path / "cut") == lines(tmp_path / "undisturbed")


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    runner.run([job()], [tmp_path / "a"])
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert runner.run([job()], [tmp_path / "a"], resume=True) == [("FINISHED", None)]
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()} == before


def test_a_run_that_another_process_finishes_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(*EVERYTHING)
    runner.run([given], [tmp_path / "run"])
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    monkeypatch.setattr(resuming, "is_unfinished", lambda _: True)  # as it was when we looked
    (outcome,) = runner.run([given], [tmp_path / "run"], resume=True)
    assert outcome == Outcome("FAILED", f"{tmp_path / 'run'} was finished by another process meanwhile: nothing to do")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_runs_of_one_stack_that_were_killed_at_different_epochs_go_on(tmp_path: Path) -> None:
    jobs = [job(*EVERYTHING, f"seed={seed}") for seed in range(3)]
    undisturbed, copies = tmp_path / "undisturbed", tmp_path / "copies"
    runner.run(jobs, [undisturbed / name for name in "abc"], progress=Copying(undisturbed, copies))
    mixed = tmp_path / "mixed"
    for name, epoch in (("a", 1), ("b", 5)):
        shutil.copytree(copies / f"epoch{epoch}" / name, mixed / name)
    assert [resuming.start_epoch(mixed / name) for name in "abc"] == [0, 4, 0]
    runner.run(jobs, [mixed / name for name in "abc"], resume=True)
    for name in "ab":
        assert_same(mixed / name, undisturbed / name)
    assert files(mixed / "c") == files(undisturbed / "c")


def test_runs_begin_together_where_little_is_trained_again(tmp_path: Path) -> None:
    one = job(*EVERYTHING, "checkpoint.every=1", "checkpoint.keep=all", "training.epochs=12")
    runner.run([one], [tmp_path / "whole"], progress=Copying(tmp_path / "whole", tmp_path / "copies"))
    directories = []
    for place, epoch in enumerate((11, 11, 2)):
        directories.append(tmp_path / f"run{place}")
        shutil.copytree(tmp_path / "copies" / f"epoch{epoch}", directories[-1])

    def epochs(directories: list[Path], keys: str) -> list[int | None]:
        found = resuming.starts(directories, list(keys))
        return [int(path.name.removeprefix("epoch-")) if path else None for path in found]

    assert epochs(directories, "kkk") == [11, 11, 2], "18 epochs again, 1 + 1 + 10 left"
    assert epochs(directories[1:], "kk") == [2, 2], "9 again, 1 + 10 left"
    assert epochs(directories[1:], "kl") == [11, 2]
    assert epochs([tmp_path / "nothing", *directories[1:]], "kkk") == [None, 2, 2]
    checkpoint.remove(directories[2] / "checkpoints" / checkpoint.name(1))
    checkpoint.remove(directories[2] / "checkpoints" / checkpoint.name(2))
    assert epochs(directories[1:], "kk") == [11, 0], "one that has nothing yet holds nobody back"


@pytest.mark.parametrize(
    ("change", "what"), [("config", "configuration"), ("code", "engine's code"), ("data", "its data")]
)
def test_another_run_is_not_gone_on_with(
    change: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = job(*EVERYTHING)
    runner.run([one], [tmp_path / "a"], progress=Copying(tmp_path / "a", tmp_path / "copies", every=5))
    directory = tmp_path / "copies" / "epoch5"
    path = directory / journal.NAME
    if change == "config":
        one = job(*EVERYTHING, "seed=9")
    elif change == "code":
        monkeypatch.setattr("nnlab.run_header.code_version", lambda: "other")
    else:
        text = path.read_text()
        path.write_text(text.replace(json.loads(text.splitlines()[0])["dataset"]["hash"], "0" * 64, 1))
    before = path.read_bytes()
    (outcome,) = runner.run([one], [directory], resume=True)
    assert outcome.status == "FAILED"
    assert what in str(outcome.reason)
    assert path.read_bytes() == before


def test_a_run_that_does_not_follow_its_record_fails(tmp_path: Path) -> None:
    one = job(*EVERYTHING)
    runner.run([one], [tmp_path / "a"], progress=Copying(tmp_path / "a", tmp_path / "copies", every=7))
    directory = tmp_path / "copies" / "epoch7"
    path = directory / journal.NAME
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        if event["type"] == "metrics" and event["step"] == 7 and "val/loss" in event["metrics"]:
            event["metrics"]["val/loss"] += 1e-12
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    (outcome,) = runner.run([one], [directory], resume=True)
    assert outcome.status == "FAILED"
    assert "val/loss of step 7" in str(outcome.reason)
    assert max(journal.read(directory).steps) == 7


def test_a_running_run_is_not_gone_on_with(tmp_path: Path) -> None:
    held = journal.Journal(tmp_path)
    held.write("run", run_id="x")
    with pytest.raises(NnlabError, match="is being trained by another process"):
        runner.run([job()], [tmp_path], resume=True)
    held.close("KILLED")


def test_a_checkpoint_that_needs_another_one_does_not_count_without_it(tmp_path: Path) -> None:
    one = job(*SETTINGS["early stopping"])
    runner.run([one], [tmp_path / "a"], progress=Copying(tmp_path / "a", tmp_path / "copies", every=2))
    copies = [copy for copy in sorted((tmp_path / "copies").glob("epoch*")) if resuming.start(copy)]
    needing = next(copy for copy in copies if checkpoint.read_manifest(resuming.start(copy))["needs"])  # type: ignore[arg-type]
    epoch = resuming.start_epoch(needing)
    other = checkpoint.read_manifest(resuming.start(needing))["needs"][0]  # type: ignore[arg-type]
    shutil.rmtree(needing / "checkpoints" / checkpoint.name(other))
    assert resuming.start_epoch(needing) < epoch


def test_early_stopping_is_what_these_settings_do(tmp_path: Path) -> None:
    for name in ("early stopping", "early stopping without going back"):
        (outcome,) = runner.run([job(*SETTINGS[name])], [tmp_path / name])
        assert "stopped after epoch" in str(outcome.reason)
    assert journal.read(tmp_path / "early stopping").metrics["final/epoch"] < 30


@pytest.mark.parametrize("epochs", [1, 9])
def test_a_run_that_diverged_does_so_again(epochs: int, tmp_path: Path) -> None:
    """Also in the last epoch of its budget, and with a checkpoint every epoch: from NaN there is nothing to go on."""
    diverges = ["optimizer.lr=1e30", "activation=relu", "loss=mse", "checkpoint.every=1", f"training.epochs={epochs}"]
    one = job(*diverges)
    (first,) = runner.run([one], [tmp_path])
    assert first.status == "FAILED"
    numbers = lines(tmp_path)
    assert runner.run([one], [tmp_path], resume=True) == [first]
    assert lines(tmp_path) == numbers
    assert not any("final/" in name for _, name, _ in numbers)


def test_a_checkpoint_of_epochs_that_the_journal_has_lost_is_not_gone_on_from(tmp_path: Path) -> None:
    """A power cut may lose the end of the journal."""
    one = job(*EVERYTHING, "checkpoint.keep=all")
    undisturbed, copies = tmp_path / "undisturbed", tmp_path / "copies"
    runner.run([one], [undisturbed], progress=Copying(undisturbed, copies))
    directory = copies / "epoch6"
    path = directory / journal.NAME
    kept = path.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(kept) if '"step":5,"metrics":{"train' in line)
    path.write_text("".join(kept[:place]))
    assert resuming.start_epoch(directory) == 4
    runner.run([one], [directory], resume=True)
    assert_same(directory, undisturbed)


def test_a_run_that_could_not_be_built_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_: object) -> None:
        raise MemoryError("no room")

    one = job()
    with monkeypatch.context() as patched:
        patched.setattr(runner, "build", no_room)
        assert runner.run([one], [tmp_path]) == [("FAILED", "MemoryError: no room")]
    record = journal.read(tmp_path)
    assert (record.status, record.params["seed"]) == ("FAILED", 0)
    assert runner.run([one], [tmp_path], resume=True) == [("FINISHED", None)]
    again = journal.read(tmp_path)
    assert again.run["run_id"] == record.run["run_id"]
    assert again.run["dataset"]["name"] == "wine"
    assert again.tags["nnlab.config_hash"] == again.run["tags"]["nnlab.config_hash"]


def test_a_checkpoint_that_cannot_be_gone_on_with_leaves_no_lock(tmp_path: Path) -> None:
    one = job(*SETTINGS["early stopping"])
    runner.run([one], [tmp_path / "a"], progress=Copying(tmp_path / "a", tmp_path / "copies", every=2))
    directory = sorted((tmp_path / "copies").glob("epoch*"))[-1]
    start = resuming.start(directory)
    assert start is not None
    taken = resuming.load(start)
    del taken.manifest["step"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resuming, "load", lambda _: taken)
        (outcome,) = runner.run([one], [directory], resume=True)
    assert outcome.status == "FAILED"
    assert not locks.is_locked(directory / journal.NAME)
