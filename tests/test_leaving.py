"""Runs leave their stack one by one: at the end of their own budget, by early stopping, by divergence, by accident."""

import json
from pathlib import Path

import numpy as np
import pytest

from nnlab import build, journal, recorded_training, runner
from nnlab.compose import Job
from nnlab.config import Config
from nnlab.recorder import Recorder
from nnlab.training import EpochResult
from nnlab.watcher import Outcome
from tests.jobs import job
from tests.reproduction.runs import without_plots
from tests.test_resume import files, lines

QUICK = ["architecture.hidden_sizes=[4]", "checkpoint.every=3", "architecture.dropout=0.1", "optimizer.momentum=0.5"]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)


class Counting:
    """Counts the epochs of stacks and of runs in them, and notes who ended."""

    def __init__(self) -> None:
        self.stacks: list[tuple[int, int, int]] = []
        self.outcomes: dict[str, tuple[Outcome, int]] = {}

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:
        self.stacks.append((result.epoch, runs, len(next(iter(result.metrics.values())))))

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        self.outcomes[directory.name] = outcome, epochs_left


def assert_like_lone(jobs: list[Job], tmp_path: Path, watcher: Counting) -> list[Outcome]:
    together = [tmp_path / f"together{place}" for place in range(len(jobs))]
    outcomes = runner.run(jobs, together, progress=watcher)
    for place, each in enumerate(jobs):
        lone = tmp_path / f"lone{place}"
        assert runner.run([each], [lone]) == [outcomes[place]]
        assert files(lone) == files(together[place])
        assert lines(lone) == lines(together[place])
    return outcomes


def test_runs_of_different_length_share_a_stack(tmp_path: Path) -> None:
    lengths = (3, 9, 4, 9, 12)
    jobs = [
        job(*QUICK, f"training.epochs={epochs}", f"seed={seed}", "schedule=cosine")
        for seed, epochs in enumerate(lengths)
    ]
    watcher = Counting()
    assert_like_lone(jobs, tmp_path, watcher)
    assert [(epoch, runs) for epoch, runs, _ in watcher.stacks] == [
        *((epoch, 5) for epoch in range(4)),
        (4, 4),
        *((epoch, 3) for epoch in range(5, 10)),
        *((epoch, 1) for epoch in range(10, 13)),
    ]
    assert [size for _, _, size in watcher.stacks] == [5] * 5 + [3] * 5 + [1] * 3, "the stack gets smaller"
    assert {left for _, left in watcher.outcomes.values()} == {0}
    headers = [journal.read(tmp_path / f"together{place}").run["epochs"] for place in range(5)]
    assert headers == list(lengths)


@pytest.mark.parametrize("epochs", [(4, 6), (4, 4)])
def test_only_runs_that_are_evaluated_together_share_a_stack(epochs: tuple[int, int], tmp_path: Path) -> None:
    """A run's last epoch is evaluated; that must not be an evaluation more for another one's early stopping."""
    jobs = [job(*QUICK, f"training.epochs={each}", "training.eval_every=3") for each in epochs]
    assert (build.stack_key(jobs[0].config) == build.stack_key(jobs[1].config)) == (epochs[0] == epochs[1])
    assert_like_lone(jobs, tmp_path, Counting())


def test_early_stopping_lets_runs_leave(tmp_path: Path) -> None:
    stops = ["training.epochs=40", "training.early_stopping.patience=2", "optimizer.lr=0.8"]
    jobs = [job(*QUICK, *stops, f"seed={seed}") for seed in range(6)]
    watcher = Counting()
    outcomes = assert_like_lone(jobs, tmp_path, watcher)
    ends = {int(str(outcome.reason).split()[3].rstrip(":")) for outcome in outcomes if outcome.reason}
    assert len(ends) > 2, "they stop at different epochs"
    assert watcher.stacks[-1][2] < 6
    assert sum(left for _, left in watcher.outcomes.values()) > 0


def test_a_diverging_run_leaves(tmp_path: Path) -> None:
    rates = (0.1, 1e30, 0.2, 0.3, 1e29)
    jobs = [job(*QUICK, "activation=relu", "loss=mse", f"optimizer.lr={rate}") for rate in rates]
    watcher = Counting()
    outcomes = assert_like_lone(jobs, tmp_path, watcher)
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FAILED", "FINISHED", "FINISHED", "FAILED"]
    assert watcher.stacks[-1][2] == 3


def test_what_goes_wrong_with_one_run_fails_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Recorder.epoch

    def full_disk(self: Recorder, result: EpochResult, *arguments: object, **keywords: object) -> None:
        if self.job.config.seed == 1 and result.epoch == 2:
            raise OSError(28, "No space left on device")
        original(self, result, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Recorder, "epoch", full_disk)
    jobs = [job(*QUICK, f"seed={seed}") for seed in range(3)]
    outcomes = assert_like_lone(jobs, tmp_path, Counting())
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FAILED", "FINISHED"]
    record = journal.read(tmp_path / "together1")
    assert (record.status, record.reason) == ("FAILED", "OSError: [Errno 28] No space left on device")


@pytest.mark.parametrize("where", ["build", "epoch"])
def test_what_breaks_a_whole_stack_fails_only_the_culprit(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job(*QUICK, f"seed={seed}", "training.epochs=6") for seed in range(5)]
    lone = [tmp_path / f"lone{seed}" for seed in range(5)]
    for each, directory in zip(jobs, lone, strict=True):
        runner.run([each], [directory])
    if where == "build":
        original = build.build

        def breaking_build(configs: list[Config]) -> build.Stack:
            if any(config.seed == 3 for config in configs):
                raise MemoryError("no room")
            return original(configs)

        monkeypatch.setattr(runner, "build", breaking_build)
    else:
        epochs = recorded_training.RecordedTraining._epoch

        def breaking_epoch(self: recorded_training.RecordedTraining, result: EpochResult) -> None:
            if result.epoch == 4 and any(recorder.job.config.seed == 3 for recorder in self.recorders.values()):
                raise MemoryError("no room")
            epochs(self, result)

        monkeypatch.setattr(recorded_training.RecordedTraining, "_epoch", breaking_epoch)
    together = [tmp_path / f"together{seed}" for seed in range(5)]
    outcomes = runner.run(jobs, together)
    assert [outcome.status for outcome in outcomes] == ["FINISHED"] * 3 + ["FAILED", "FINISHED"]
    assert outcomes[3].reason == "MemoryError: no room"
    assert journal.read(together[3]).status == "FAILED"
    for seed in (0, 1, 2, 4):
        assert files(lone[seed]) == files(together[seed])
        assert lines(lone[seed]) == lines(together[seed])
        types = [json.loads(line)["type"] for line in (together[seed] / journal.NAME).read_text().splitlines()]
        assert types.count("run") == types.count("status") == 1


def test_jobs_of_any_kind_can_be_given_at_once(tmp_path: Path) -> None:
    jobs = [job(*QUICK), job(*QUICK, "activation=relu"), job(*QUICK, "seed=1"), job("dataset=moons", *QUICK)]
    watcher = Counting()
    assert_like_lone(jobs, tmp_path, watcher)
    assert np.bincount([size for epoch, _, size in watcher.stacks if epoch == 0]).tolist() == [0, 2, 1]


def test_a_stack_is_no_larger_than_asked_for(tmp_path: Path) -> None:
    watcher = Counting()
    jobs = [job(*QUICK, f"seed={seed}") for seed in range(5)]
    runner.run(jobs, [tmp_path / str(seed) for seed in range(5)], progress=watcher, max_stack=2)
    assert [size for epoch, _, size in watcher.stacks if epoch == 0] == [2, 2, 1]


def test_nobody_trains_on_when_the_last_run_cannot_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Recorder.epoch

    def full_disk(self: Recorder, result: EpochResult, *arguments: object, **keywords: object) -> None:
        if result.epoch == 3:
            raise OSError(28, "No space left on device")
        original(self, result, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Recorder, "epoch", full_disk)
    watcher = Counting()
    runner.run([job(*QUICK, "training.epochs=40")], [tmp_path], progress=watcher)
    assert [epoch for epoch, _, _ in watcher.stacks] == [0, 1, 2, 3]


def test_a_run_that_diverges_and_cannot_be_recorded_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Recorder.epoch

    def full_disk(self: Recorder, result: EpochResult, *arguments: object, **keywords: object) -> None:
        if keywords.get("is_failed"):
            raise OSError(28, "No space left on device")
        original(self, result, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Recorder, "epoch", full_disk)
    jobs = [job(*QUICK, "activation=relu", "loss=mse", f"optimizer.lr={rate}") for rate in (0.1, 1e30, 0.2)]
    watcher = Counting()
    outcomes = runner.run(jobs, [tmp_path / str(place) for place in range(3)], progress=watcher)
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "FAILED", "FINISHED"]
    assert [epoch for epoch, _, _ in watcher.stacks] == list(range(len(watcher.stacks))), "nothing is trained again"
