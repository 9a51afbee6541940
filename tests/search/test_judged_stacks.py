"""What a judge ends leaves its stack: less is computed, and nobody's numbers are others for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nnlab import comparison, journal, runner
from nnlab.compose import Job
from nnlab.sweep import finished
from nnlab.sweep.stacks import Run, cut
from nnlab.tracking.runs import find
from nnlab.training.loop import Loop
from tests.jobs import job


class Scripted:
    """A ``Judge`` that ends the runs of some directories after an epoch."""

    metric = "val/loss"

    def __init__(self, ends: Mapping[str, int]) -> None:
        self.ends, self.seen = ends, list[tuple[int, set[str]]]()

    def begin(self, directories: Sequence[Path], after: int | None) -> None:
        self.begun = (len(directories), after)

    def epoch(self, epoch: int, values: Mapping[Path, float]) -> dict[Path, str]:
        self.seen.append((epoch, {each.name for each in values}))
        return {each: "pruned by the test" for each in values if self.ends.get(each.name) == epoch}


def numbers(directory: Path) -> dict[int, dict[str, float]]:
    return {
        step: {name: value for name, value in values.items() if not name.startswith("time/")}
        for step, values in journal.read(directory).steps.items()
    }


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The replicas of every epoch that the engine trains."""
    trained: list[int] = []
    real = Loop.epoch

    def epoch(self: Loop) -> Any:
        trained.append(self.network.replicas)
        return real(self)

    monkeypatch.setattr(Loop, "epoch", epoch)
    return trained


def jobs(count: int, *more: str) -> list[Job]:
    return [
        job("tracking=none", "training.epochs=6", f"seed={seed}", f"optimizer.lr=0.{seed + 1}", *more)
        for seed in range(count)
    ]


def test_what_is_ended_leaves_the_stack_and_changes_nobody(outputs: Path, work: list[int]) -> None:
    given = jobs(4)
    judge = Scripted({"1": 2, "2": 2, "3": 4})
    judged = [outputs / "runs" / str(seed) for seed in range(4)]
    outcomes = runner.run(given, judged, judge=judge)
    assert work == [4, 4, 2, 2, 1, 1]
    assert [outcome.status for outcome in outcomes] == ["FINISHED", "KILLED", "KILLED", "KILLED"]
    assert judge.begun == (4, None)
    assert judge.seen[-1] == (6, {"0"})
    for seed, last in enumerate((6, 2, 2, 4)):
        (alone,) = runner.run([given[seed]], [outputs / "alone" / str(seed)])
        assert alone.status == "FINISHED"
        mine, whole = numbers(judged[seed]), numbers(outputs / "alone" / str(seed))
        assert list(mine) == list(range(last + 1))
        assert mine == {step: whole[step] for step in mine} or (last == 6 and mine == whole)
    record = journal.read(judged[1])
    assert (record.status, record.reason, record.tags["nnlab.pruned"]) == ("KILLED", "pruned by the test", "2")
    assert record.is_pruned


def test_a_pruned_run_counts_as_no_finished_one(outputs: Path) -> None:
    judged = [outputs / "runs" / str(seed) for seed in range(3)]
    runner.run(jobs(3), judged, judge=Scripted({"1": 1}))
    assert {path for same in finished.find(outputs).values() for path in same} == {judged[0], judged[2]}
    assert len(find(outputs)) == 3
    table = comparison.compare(*judged, metric="best/val_loss")
    counts = dict(zip(table["optimizer.lr"], zip(table["n"], table["failed"], strict=True), strict=True))
    assert counts == {0.1: (1, 0), 0.2: (0, 1), 0.3: (1, 0)}


def test_of_a_run_that_fails_the_judge_is_told(outputs: Path) -> None:
    seen: dict[int, dict[str, float]] = {}

    class Noting(Scripted):
        def epoch(self, epoch: int, values: Mapping[Path, float]) -> dict[Path, str]:
            seen[epoch] = {path.name: value for path, value in values.items()}
            return {}

    wild = job("tracking=none", "training.epochs=3", "optimizer.lr=1e30", "loss=mse", "activation=relu")
    tame = job(
        "tracking=none", "training.epochs=3", "optimizer.lr=0.1", "loss=mse", "activation=relu", "training.eval_every=1"
    )
    outcomes = runner.run([wild, tame], [outputs / "wild", outputs / "tame"], judge=Noting({}))
    assert [outcome.status for outcome in outcomes] == ["FAILED", "FINISHED"]
    failed = min(number for number, values in seen.items() if values.get("wild", 0.0) != values.get("wild", 0.0))
    assert "wild" not in seen[failed + 1]
    assert "tame" in seen[failed + 1]


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("max_stack", [None, 4])
def test_units_stay_whole_however_many_workers_there_are(workers: int, max_stack: int | None) -> None:
    config = job("tracking=none").config
    runs = [Run(config, 10, 0, unit) for unit in (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4)]
    chunks = cut(runs, workers, max_stack)
    assert sorted(position for chunk in chunks for position in chunk) == list(range(13))
    for unit in range(5):
        assert len({at for at, chunk in enumerate(chunks) for position in chunk if runs[position].unit == unit}) == 1
    assert len(chunks) > 1 or (workers == 1 and max_stack is None)
