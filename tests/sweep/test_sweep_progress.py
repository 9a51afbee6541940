"""A sweep's one display: plain lines in a pipe, a bar on a terminal, failures as they happen."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nnlab.sweep import progress as progress_module
from nnlab.sweep import reporter as reporter_module
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.reporter import Reporter, Reports
from nnlab.training import EpochResult
from nnlab.watcher import Outcome

FINE = Outcome("FINISHED")


def result(epoch: int) -> EpochResult:
    return EpochResult(epoch, epoch, {"val/loss": np.array([1.0])})


class Clock:
    """Goes only when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    monkeypatch.setattr(reporter_module, "time", clock)
    return clock


def begun(console: Console, runs: int, epochs: int) -> SweepProgress:
    progress = SweepProgress(Path("/sweep"), console=console)
    progress.begin({Path(f"/sweep/{number}"): (number, f"seed={number}") for number in range(runs)}, runs * epochs)
    return progress


def text(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_pipe_gets_about_twenty_lines_however_many_jobs_and_epochs(clock: Clock) -> None:
    with begun(console := Console(file=io.StringIO(), width=200), 300, 10) as progress:
        for number in range(300):
            for epoch in range(11):
                clock.now += 1
                progress.epoch(result(epoch), 10, 1)
            progress.ended(Path(f"/sweep/{number}"), FINE, 0)
    lines = text(console)
    assert 20 <= len(lines) <= 23
    assert lines[0] == "sweep  0 of 300 jobs done, 300 left"
    assert lines[-1] == "sweep  300 of 300 jobs done, 0 left  in 55:00 min"
    assert "epochs/s" in lines[10]
    assert lines[10].endswith("left")
    assert progress.outcomes == dict.fromkeys(range(300), FINE)


def test_a_failure_is_printed_as_it_happens_and_its_epochs_are_not_waited_for() -> None:
    with begun(console := Console(file=io.StringIO(), width=200), 2, 100) as progress:
        progress.epoch(result(1), 100, 2)
        progress.ended(Path("/sweep/1"), Outcome("FAILED", "epoch 1: NaN or Inf in [layer 0]"), 99)
        assert text(console)[-1] == "job 1 (seed=1) FAILED: epoch 1: NaN or Inf in [layer 0]"
        for epoch in range(2, 101):
            progress.epoch(result(epoch), 100, 1)
        progress.ended(Path("/sweep/0"), FINE, 0)
    assert text(console)[-1].startswith("sweep  1 of 2 jobs done, 1 failed, 0 left")


def test_the_last_line_of_an_interrupted_sweep_says_how_far_it_is() -> None:
    console = Console(file=io.StringIO(), width=200)
    with contextlib.suppress(KeyboardInterrupt), begun(console, 3, 10) as progress:
        progress.ended(Path("/sweep/2"), FINE, 0)
        raise KeyboardInterrupt
    assert text(console)[-1] == "sweep  1 of 3 jobs done, 2 left"


def test_a_terminal_gets_one_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with begun(console, 2, 5) as progress:
        for epoch in range(6):
            progress.epoch(result(epoch), 5, 2)
        progress.ended(Path("/sweep/0"), Outcome("FAILED", "no"), 0)
        progress.ended(Path("/sweep/1"), FINE, 0)
    shown = "\n".join(text(console))
    assert "job 0 (seed=0) FAILED: no" in shown
    assert "1 of 2 jobs done, 1 failed, 0 left" in shown


def test_a_title_that_looks_like_markup_is_shown_as_it_is() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with SweepProgress(Path("/sweep"), "[bold] [/x]", console) as progress:
        progress.trained(1)
    assert "[bold] [/x]" in "\n".join(text(console))


def test_speed_and_time_left_are_those_of_training_and_what_a_killed_worker_lost_is_trained_again(clock: Clock) -> None:
    progress = begun(console := Console(file=io.StringIO(), width=200), 1, 100)
    clock.now = 50  # processes start
    progress.trained(1)
    clock.now += 10
    progress.trained(20)
    assert text(console)[-1] == "sweep  0 of 1 jobs done, 1 left  2 epochs/s  40 s left"
    progress.trained(-15)
    clock.now += 10
    progress.trained(20)
    assert text(console)[-1] == "sweep  0 of 1 jobs done, 1 left  2 epochs/s  37 s left"


@pytest.mark.parametrize(
    ("left", "shown"), [(1, "1 s"), (99, "99 s"), (100, "1:40 min"), (3599, "59:59 min"), (90_000, "25:00 h")]
)
def test_times_for_people(left: int, shown: str, clock: Clock) -> None:
    progress = begun(console := Console(file=io.StringIO(), width=200), 1, left + 11)
    progress.trained(1)
    clock.now = 10
    progress.trained(10)
    with contextlib.suppress(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert text(console)[-1] == f"sweep  0 of 1 jobs done, 1 left  1 epochs/s  {shown} left"


def test_when_all_epochs_are_done_the_time_left_is_that_of_closing_the_runs(clock: Clock) -> None:
    with begun(console := Console(file=io.StringIO(), width=200), 5, 10) as progress:
        progress.trained(50)
        for number in range(5):
            clock.now += 3
            progress.ended(Path(f"/sweep/{number}"), FINE, 0)
    assert text(console)[-2:] == [
        "sweep  4 of 5 jobs done, 1 left  3 s left",
        "sweep  5 of 5 jobs done, 0 left  in 15 s",
    ]


def test_reports_reach_their_reader_across_files(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    progress = SweepProgress(tmp_path, console=console)
    progress.begin({tmp_path / "0": (0, "a"), tmp_path / "1": (1, "b")}, 20)
    with Reports(tmp_path) as reports:
        with Reporter(reports.path) as first, Reporter(reports.path) as second:
            for epoch in range(11):
                first.epoch(result(epoch), 10, 1)
            first.ended(tmp_path / "0", FINE, 0)
            second.epoch(result(1), 10, 1)
            second.ended(tmp_path / "1", Outcome("FAILED", "why\nnot" * 1000), 9)
            progress.take(reports.read())
        assert progress.outcomes[0] == FINE
        assert str(progress.outcomes[1].reason).startswith("why\nnot")
        assert list(reports.read()) == []
    assert text(console)[-1].startswith("sweep  1 of 2 jobs done, 1 failed, 0 left")
    assert list(tmp_path.glob(".*")) == []


def test_days_of_training_do_not_make_a_long_file(clock: Clock, tmp_path: Path) -> None:
    with Reports(tmp_path) as reports, Reporter(reports.path) as reporter:
        for epoch in range(100_000):  # 83 minutes
            clock.now += 0.05
            reporter.epoch(result(epoch), 100_000, 64)
        reported = list(reports.read())
    assert 500 < len(reported) < 3000


def test_a_torn_line_is_left_out_and_half_a_line_is_waited_for(tmp_path: Path) -> None:
    with Reports(tmp_path) as reports, reports.path.open("ab", buffering=0) as file:
        file.write(b'{"epochs": 1}\n{"epo{"epochs": 2}\n{"epochs"')
        assert list(reports.read()) == [{"epochs": 1}]
        file.write(b": 3}\n")
        assert list(reports.read()) == [{"epochs": 3}]


def test_who_reports_sees_that_its_reader_is_gone(tmp_path: Path) -> None:
    with Reports(tmp_path) as reports:
        reporter = Reporter(reports.path)
        assert reporter.has_reader()
        reports.let_go()
        assert not reporter.has_reader()
        reporter.ended(tmp_path / "0", Outcome("KILLED", "interrupted"), 1)
        assert [report["status"] for report in reports.read()] == ["KILLED"]


def test_a_file_that_a_killed_reader_left_is_removed_and_a_living_ones_stays(tmp_path: Path) -> None:
    (tmp_path / ".progress-old.jsonl").write_text("{}\n")
    with Reports(tmp_path) as first, Reports(tmp_path) as second:
        assert {path.name for path in tmp_path.glob(".*")} == {first.path.name, second.path.name}
