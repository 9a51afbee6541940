"""Past runs done again for real: which verdict they get, and what is kept of it."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnlab import app, checkpoint, journal, network, runner
from nnlab.errors import NnlabError
from nnlab.progress import Progress
from nnlab.reproduction import rerun
from nnlab.reproduction.run_report import RunVerdict, print_report, to_json
from nnlab.training import EpochResult
from tests.jobs import job
from tests.reproduction.runs import again, copy, edit_array, edit_journal, train, without_plots

LENET = (
    "dataset=digits",
    "architecture=lenet",
    "architecture.kernel_size=3",
    "architecture.channels=[2,3]",
    "architecture.hidden_sizes=[8]",
    "architecture.batch_norm=true",
    "architecture.dropout=0.2",
    "augmentation=shift_rotate",
    "training.epochs=2",
    "training.batch_size=100",
)


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)


def arrays(directory: Path, epoch: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob(f"checkpoints/epoch-{epoch:06d}/*.npy")}


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset=moons", "training.dtype=float64", "optimizer=adam", "schedule=cosine", "seed=3"),
        ("training.blas_threads=1", "training.log_every_updates=1", "loss.l2=0.01"),
        ("schedule=reduce_on_plateau", "optimizer.lr=1.5", "optimizer.momentum=0.9", "training.epochs=40",
         "training.early_stopping.patience=4"),
        LENET,
    ],
)  # fmt: skip
def test_a_run_done_again_is_identical(overrides: tuple[str, ...], outputs: Path) -> None:
    old = train(*overrides)
    report = again(old)
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.exit_code == 0
    assert report.new.directory is not None
    assert report.new.directory.parent == outputs / "runs"
    assert list(report.changed) == []
    assert report.numbers.unequal == 0
    steps = journal.read(old).steps
    assert report.numbers.epochs == len(steps)
    assert report.checkpoints.compared[0] == 0
    assert report.checkpoints.compared[-1] == max(steps)
    # Beside the verdict, with our own eyes.
    last = max(steps)
    assert arrays(old, last) == arrays(report.new.directory, last) != {}
    for epoch, values in journal.read(report.new.directory).steps.items():
        same = {name: value for name, value in values.items() if not name.startswith("time/")}
        assert same.items() <= steps[epoch].items()
    if "training.log_every_updates=1" in overrides:
        assert report.numbers.updates == 5 * 4  # 107 samples in batches of 32
    if "training.early_stopping.patience=4" in overrides:
        assert last < 40


def test_runs_of_a_stack_are_done_again_alone(outputs: Path) -> None:
    jobs = [job(f"seed={seed}", f"optimizer.lr={lr}") for seed in (0, 1) for lr in (0.1, 0.3)]
    directories = [outputs / "runs" / f"stack{number}" for number in range(4)]
    runner.run(jobs, directories)
    report = again(directories[2])
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.new.directory is not None
    old, new = (journal.read(directory) for directory in (directories[2], report.new.directory))
    assert new.params == old.params
    assert new.params["optimizer"] == "sgd"
    assert new.run["name"] == old.run["name"]


def test_a_job_of_a_sweep_is_done_again_and_the_sweep_itself_is_not() -> None:
    sweep = app.train(["-m", "tracking=none", "training.epochs=3", "optimizer.lr=0.1,0.3", "activation=tanh,relu"])
    assert sweep is not None
    report = again(sweep / "3")
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.new.directory is not None
    old, new = (journal.read(directory) for directory in (sweep / "3", report.new.directory))
    assert new.run["overrides"] == old.run["overrides"]
    assert new.run["tags"]["nnlab.config_hash"] == old.run["tags"]["nnlab.config_hash"]
    with pytest.raises(NnlabError, match=rf"{sweep} is a sweep: .* such as {sweep}/0$"):
        again(sweep)


def test_what_is_kept_of_it() -> None:
    old = train()
    report = again(old)
    assert report.new.directory is not None
    before, after = journal.read(old), journal.read(report.new.directory)
    assert after.run["tags"]["nnlab.reproduces"] == before.run["run_id"]
    assert after.tags == {"nnlab.verdict": "IDENTICAL"}
    assert before.tags == {"nnlab.reproduced_by": after.run["run_id"]}
    assert (before.status, after.status) == ("FINISHED", "FINISHED")
    assert "reproduction.json" in after.artifacts
    saved = json.loads((report.new.directory / "reproduction.json").read_text())
    assert saved == to_json(report)
    assert saved["verdict"] == "IDENTICAL"
    assert saved["old"]["run_id"] == before.run["run_id"]
    assert saved["new"]["directory"] == str(report.new.directory)
    assert saved["checkpoints"] == {"compared": [0, 5], "unequal": {}, "initial_equal": True, "final_equal": True}
    assert saved["numbers"]["largest"] is None
    assert "tracked" not in saved


def test_a_run_outside_the_outputs_root_is_left_as_it_is(tmp_path: Path) -> None:
    runner.run([job()], [tmp_path / "mine"])
    before = (tmp_path / "mine" / "journal.jsonl").read_bytes()
    report = again(tmp_path / "mine")
    assert report.verdict is RunVerdict.IDENTICAL
    assert (tmp_path / "mine" / "journal.jsonl").read_bytes() == before
    assert ["outputs root" in note for note in report.notes] == [True]


def test_other_numbers_in_the_record_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    old = train()

    def change(by: float) -> Path:
        def edit(line: dict[str, Any]) -> dict[str, Any]:
            if line["type"] == "metrics" and line["step"] == 3 and "val/loss" in line["metrics"]:
                line["metrics"]["val/loss"] *= 1 + by
            return line

        changed = copy(old, f"by{by:g}")
        edit_journal(changed, edit)
        return changed

    near = again(change(1e-7))
    assert near.verdict is RunVerdict.WITHIN_TOLERANCE
    assert near.exit_code == 0
    assert near.numbers.unequal == 1
    assert near.numbers.largest is not None
    assert (near.numbers.largest.metric, near.numbers.largest.step) == ("val/loss", 3)
    assert near.numbers.largest.relative == pytest.approx(1e-7, rel=1e-3)
    assert near.checkpoints.final_equal is True

    assert again(old.with_name("by1e-07"), rtol=1e-8).verdict is RunVerdict.DIFFERENT

    far = again(change(1e-2))
    assert far.verdict is RunVerdict.DIFFERENT
    assert far.exit_code == 1
    assert far.numbers.first_beyond is not None
    assert far.numbers.first_beyond.relative == pytest.approx(1e-2, rel=1e-1)
    capsys.readouterr()
    print_report(far)
    printed = capsys.readouterr().out
    now = journal.read(old).steps[3]["val/loss"]
    assert f"departs   at epoch 3: val/loss {far.numbers.first_beyond.old!r} then, {now!r} now" in printed
    assert printed.endswith("verdict   DIFFERENT\n")
    assert "\x1b" not in printed


def test_other_weights_in_the_last_checkpoint_are_found() -> None:
    old = train()

    def last_bit(array: NDArray[Any]) -> None:
        array[0, 0] = np.nextafter(array[0, 0], np.float32(2))

    def flip(array: NDArray[Any]) -> None:
        array *= -1

    slightly = copy(old, "slightly")
    edit_array(slightly, 5, "4.weight.npy", last_bit)
    report = again(slightly)
    assert report.verdict is RunVerdict.WITHIN_TOLERANCE
    assert report.numbers.unequal == 0
    assert report.checkpoints.final_equal is False
    assert report.checkpoints.unequal == {5: ("4.weight.npy",)}
    assert {part.part: (part.samples, part.changed) for part in report.predictions} == {
        "train": (107, 0), "val": (36, 0), "test": (35, 0)
    }  # fmt: skip

    clearly = copy(old, "clearly")
    edit_array(clearly, 5, "4.weight.npy", flip)
    report = again(clearly)
    assert report.verdict is RunVerdict.DIFFERENT
    assert report.exit_code == 1
    flipped, straight = network.load(clearly), network.load(old)
    part = next(part for part in report.predictions if part.part == "train")
    assert part.accuracy[1] == journal.read(old).metrics["final/train_accuracy"]
    assert part.accuracy[0] < part.accuracy[1]
    from nnlab.data import wine

    changed = flipped.predict(wine().x) != straight.predict(wine().x)
    assert sum(part.changed for part in report.predictions) == np.count_nonzero(changed)


def test_another_seed_departs_at_epoch_0() -> None:
    directory = train()
    text = (directory / "config.yaml").read_text()
    (directory / "config.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    report = again(directory)
    assert report.verdict is RunVerdict.DIFFERENT
    assert report.checkpoints.initial_equal is False
    assert report.numbers.first_beyond is not None
    assert report.numbers.first_beyond.step == 0
    assert [each.what for each in report.changed] == ["config.yaml"]  # which was edited


def test_a_run_that_diverged_is_reproduced_when_it_diverges_again() -> None:
    directory = train("activation=relu", "optimizer.lr=1e30", "loss=mse")
    assert journal.read(directory).status == "FAILED"
    report = again(directory)
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.new.status == "FAILED"
    assert report.new.reason == report.old.reason
    json.dumps(to_json(report), allow_nan=False)
    (directory / "config.yaml").write_text((directory / "config.yaml").read_text().replace("1.0e+30", "0.01"))
    report = again(directory)
    assert report.verdict is RunVerdict.DIFFERENT
    assert report.new.status == "FINISHED"


class Ending(Progress):
    def __init__(self, error: BaseException) -> None:
        super().__init__("")
        self.error = error

    def epoch(self, result: EpochResult, epochs: int, runs: int = 1) -> None:
        if result.epoch == 2:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no room")])
def test_a_run_that_was_cut_short_is_compared_as_far_as_it_got(error: BaseException, outputs: Path) -> None:
    directory = outputs / "runs" / "cut"
    with contextlib.suppress(KeyboardInterrupt):
        runner.run([job()], [directory], progress=Ending(error))
    report = again(directory)
    status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.numbers.epochs == 3
    assert report.new.status == "FINISHED"
    assert report.notes[0].startswith(f"it was {status} after epoch 2 (")
    assert 0 in report.checkpoints.compared
    assert report.checkpoints.final_equal is None


def test_without_its_last_checkpoint_a_run_is_not_called_identical() -> None:
    directory = train()
    checkpoint.remove(directory / "checkpoints" / "epoch-000005")
    report = again(directory)
    assert report.verdict is RunVerdict.WITHIN_TOLERANCE
    assert report.numbers.unequal == 0
    assert "its final checkpoint is not there, so its bytes can't be compared" in report.notes


def test_initial_weights_that_are_gone_are_those_of_epoch_0(tmp_path: Path) -> None:
    first = train("seed=7", name="first")
    given = tmp_path / "given"
    (first / "checkpoints" / "epoch-000000").rename(given)
    directory = train(f"initializer.from={given}")
    assert again(directory).verdict is RunVerdict.IDENTICAL

    other = train("seed=8", name="other") / "checkpoints" / "epoch-000000"
    given.rename(tmp_path / "gone")
    report = again(directory)
    assert report.verdict is RunVerdict.IDENTICAL
    assert report.notes[0].startswith(f"initializer.from={given} is gone")

    other.rename(given)
    report = again(directory)
    assert report.verdict is RunVerdict.DIFFERENT
    assert report.checkpoints.initial_equal is False

    (given.rename(tmp_path / "gone too"))
    checkpoint.remove(directory / "checkpoints" / "epoch-000000")
    with pytest.raises(NnlabError, match="is gone, and the run has no checkpoint of epoch 0"):
        again(directory)


def test_other_circumstances_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = train("training.blas_threads=1")
    path = directory / "environment.json"
    then = json.loads(path.read_text())
    assert then["blas_threads"] == 1
    then |= {
        "python": "3.9.1",
        "code_version": "0" * 64,
        "packages": {**then["packages"], "numpy": "2.4.5", "old": "1"},
    }
    path.write_text(json.dumps(then))
    lines: list[str] = []
    report = rerun.reproduce_run(str(directory), report=lines.append)
    assert report.verdict is RunVerdict.IDENTICAL
    assert "differs  Python 3.9.1 then, " in "\n".join(lines)
    assert f"differs  numpy 2.4.5 then, {np.__version__} now" in lines
    assert "differs  old 1 then, absent now" in lines
    assert any(line.startswith("differs  code 000000000000 then, ") for line in lines)
    assert len(report.changed) == 4


def test_as_many_threads_as_the_old_run_had() -> None:
    directory = train("training.blas_threads=1")
    text = (directory / "config.yaml").read_text()
    (directory / "config.yaml").write_text(text.replace("blas_threads: 1", "blas_threads: null"))
    report = again(directory)
    assert report.new.directory is not None
    assert journal.read(report.new.directory).params["training.blas_threads"] == 1

    def edit(line: dict[str, Any]) -> dict[str, Any]:
        if line["type"] == "params":
            line["params"]["training.blas_threads"] = "10**6"
        return line

    edit_journal(directory, edit)
    with pytest.raises(NnlabError, match=r"training.blas_threads='10\*\*6' is no number of threads"):
        again(directory)


def test_other_data_is_refused_before_anything_is_written(tmp_path: Path, outputs: Path) -> None:
    rows = [f"{x / 10},{x % 7},{'ab'[x % 2]}" for x in range(40)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["u,v,label", *rows]))
    directory = train("dataset=csv", f"dataset.path={path}", "dataset.target=label", "training.batch_size=8")
    assert again(directory).verdict is RunVerdict.IDENTICAL
    runs = sorted(outputs.rglob("*"))
    path.write_text("\n".join(["u,v,label", *rows, "9,9,a"]))
    with pytest.raises(NnlabError, match=r"is not the data it was: data hash \w{12} then, \w{12} now"):
        again(directory)
    path.unlink()
    with pytest.raises(NnlabError, match=r"mine\.csv"):
        again(directory)
    assert sorted(outputs.rglob("*")) == runs


def test_a_checkpoint_that_is_damaged_or_none_of_the_configs_is_refused(outputs: Path) -> None:
    directory = train()
    other = copy(directory)
    (other / "config.yaml").write_text((other / "config.yaml").read_text().replace("- 5\n  - 5", "- 5\n  - 6"))
    with pytest.raises(NnlabError, match=r"epoch-000005 is no checkpoint of its config's network: 2\.weight has shape"):
        again(other)
    for epoch in ("epoch-000005", "epoch-000000"):  # those that only stand beside the final one are read as well
        damaged = copy(directory, epoch)
        weight = damaged / "checkpoints" / epoch / "0.weight.npy"
        data = bytearray(weight.read_bytes())
        data[-1] ^= 1
        weight.write_bytes(data)
        with pytest.raises(NnlabError, match=rf"{epoch}/0\.weight\.npy is damaged: its SHA-256 is not the manifest's"):
            again(damaged)
    assert len(list((outputs / "runs").iterdir())) == 4


@pytest.mark.parametrize("rtol", [-1e-9, 1.0, float("nan")])
def test_a_tolerance_is_between_0_and_1(rtol: float) -> None:
    with pytest.raises(NnlabError, match="rtol"):
        again("x", rtol=rtol)


def test_interrupted_it_says_where_the_new_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = train()
    monkeypatch.setattr(rerun, "Progress", lambda _: Ending(KeyboardInterrupt()))
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        rerun.reproduce_run(str(directory), report=lines.append)
    kept = Path(lines[-1].rpartition(" ")[2])
    assert lines[-1].startswith("interrupted: the new run is kept as KILLED in ")
    assert journal.read(kept).status == "KILLED"
    assert journal.read(directory).tags == {}
