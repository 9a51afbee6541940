"""Workers: the bytes of lone runs, whatever fails, and what happens when a process is killed or interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from nnlab import journal, pictures, runner
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.sweep import workers
from nnlab.sweep.pool import Pool
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.reporter import Reporter, Reports
from nnlab.sweep.work import Training, Work, judged
from nnlab.sweep.workers import Task, train_all
from nnlab.training import EpochResult
from nnlab.watcher import Outcome, Watcher
from tests.jobs import job

FINE = Outcome("FINISHED")
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes the most time, in this process at least."""
    for name in ("draw_curves", "draw_predictions"):
        monkeypatch.setattr(pictures, name, lambda *of_run: None)


def tasks(root: Path, *of_each: Sequence[str]) -> list[Task]:
    return [
        Task(number, job(*overrides), root / str(number), " ".join(overrides))
        for number, overrides in enumerate(of_each)
    ]


def seeds(root: Path, count: int, *overrides: str) -> list[Task]:
    return tasks(root, *([f"seed={seed}", *overrides] for seed in range(count)))


def files(directory: Path) -> dict[str, bytes]:
    """The checkpoints, byte for byte."""
    found = [path for path in directory.glob("checkpoints/*/*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def lone(task: Task, root: Path) -> dict[str, bytes]:
    """The checkpoints of the same run alone."""
    directory = root / "lone" / str(task.number)
    runner.run([task.job], [directory], threads=1)
    return files(directory)


def trained(planned: Sequence[Task], **settings: object) -> dict[int, Outcome]:
    with SweepProgress(planned[0].directory.parent) as progress:
        train_all(planned, parent="p" * 32, progress=progress, **settings)  # type: ignore[arg-type]
    return progress.outcomes


@pytest.mark.parametrize("settings", [{"n_jobs": 2}, {"backend": "sequential", "max_stack": 1}])
def test_runs_are_what_they_would_be_alone(settings: dict[str, object], tmp_path: Path) -> None:
    kinds = (["seed=1"], ["optimizer.lr=0.3"], ["training.epochs=3"], ["activation=relu"])
    planned = tasks(tmp_path / "sweep", *kinds)
    begun: list[int] = []
    assert trained(planned, **settings, begin=lambda task: begun.append(task.number)) == dict.fromkeys(range(4), FINE)
    assert sorted(begun) == list(range(4))
    for task in planned:
        assert files(task.directory) == lone(task, tmp_path) != {}
        record = journal.read(task.directory)
        assert (record.run["parent"], record.run["name"]) == ("p" * 32, task.name)
        assert record.params["training.blas_threads"] == 1
    assert list((tmp_path / "sweep").glob(".*")) == []


def test_the_threads_of_the_config_are_used(tmp_path: Path) -> None:
    planned = tasks(tmp_path, ["training.blas_threads=2"], ["training.blas_threads=null"])
    assert trained(planned, backend="sequential") == {0: FINE, 1: FINE}
    assert [journal.read(task.directory).params["training.blas_threads"] for task in planned] == [2, 1]


def test_a_run_that_diverges_spares_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = [["activation=relu", "loss=mse", f"optimizer.lr={lr}"] for lr in (0.01, 1e30, 0.02)]
    outcomes = trained(tasks(tmp_path, *rates), n_jobs=1)
    assert [outcomes[number].status for number in range(3)] == ["FINISHED", "FAILED", "FINISHED"]
    printed = capsys.readouterr().out
    assert "job 1 (activation=relu loss=mse optimizer.lr=1e+30) FAILED: epoch 1: NaN or Inf in layer 0" in printed
    assert "2 of 3 jobs done, 1 failed, 0 left" in printed


def test_a_directory_that_is_taken_fails_alone_and_stays_as_it_is(tmp_path: Path) -> None:
    planned = seeds(tmp_path, 2)
    runner.run([planned[1].job], [planned[1].directory])
    before = (planned[1].directory / journal.NAME).read_bytes()
    outcomes = trained(planned, backend="sequential")
    assert [outcomes[number].status for number in range(2)] == ["FINISHED", "FAILED"]
    assert "holds a run already" in str(outcomes[1].reason)
    assert (planned[1].directory / journal.NAME).read_bytes() == before


def test_resumed_finished_runs_stand_and_the_others_are_trained(tmp_path: Path) -> None:
    planned = seeds(tmp_path / "sweep", 3)
    runner.run([planned[1].job], [planned[1].directory], threads=1)
    before = (planned[1].directory / journal.NAME).read_bytes()
    assert trained(planned, n_jobs=2, resume=True) == dict.fromkeys(range(3), FINE)
    assert (planned[1].directory / journal.NAME).read_bytes() == before
    for task in planned:
        assert files(task.directory) == lone(task, tmp_path)


class Deadly:
    """Tells a watcher what it is told, and kills the process after epoch 3."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def epoch(self, result: EpochResult, epochs: int, runs: int) -> None:
        self.watcher.epoch(result, epochs, runs)
        if result.epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    def ended(self, directory: Path, outcome: Outcome, epochs_left: int) -> None:
        self.watcher.ended(directory, outcome, epochs_left)


class KillsOnce(Training):
    """Train, but end the process the first time that there is a run with seed 1."""

    def run(self, chunk: Sequence[Task], progress: Watcher, *, resume: bool) -> list[Outcome]:
        mark = chunk[0].directory.parent / "killed"
        if any(task.job.config.seed == 1 for task in chunk) and not mark.exists():
            mark.touch()
            progress = Deadly(progress)
        return super().run(chunk, progress, resume=resume)


class KillsAlways(Training):
    """Train, but end the process each time that there is a run with seed 1."""

    def run(self, chunk: Sequence[Task], progress: Watcher, *, resume: bool) -> list[Outcome]:
        if any(task.job.config.seed == 1 for task in chunk):
            progress = Deadly(progress)
        return super().run(chunk, progress, resume=resume)


@linux
def test_what_a_killed_worker_was_at_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Training", KillsOnce)
    planned = seeds(tmp_path / "sweep", 3, "checkpoint.every=2")
    assert trained(planned, n_jobs=2) == dict.fromkeys(range(3), FINE)
    assert (tmp_path / "sweep" / "killed").exists()
    for task in planned:
        assert files(task.directory) == lone(task, tmp_path)
        assert sorted(journal.read(task.directory).steps) == list(range(6))


@linux
def test_a_run_that_ends_its_process_each_time_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "Training", KillsAlways)
    planned = seeds(tmp_path / "sweep", 2)
    outcomes = trained(planned, n_jobs=1)
    reason = "its worker process was killed (SIGKILL), and again when it trained alone, perhaps for want of memory"
    assert outcomes == {0: FINE, 1: Outcome("FAILED", reason)}
    record = journal.read(planned[1].directory)
    assert (record.status, record.reason) == ("FAILED", reason)
    assert f"job 1 (seed=1) FAILED: {reason}" in capsys.readouterr().out
    assert files(planned[0].directory) == lone(planned[0], tmp_path)


def pid(_reporter: Reporter) -> int:
    return os.getpid()


@linux
def test_a_worker_that_is_killed_while_it_is_idle_is_replaced(tmp_path: Path) -> None:
    with Reports(tmp_path) as reports, Pool[str, int](reports) as pool:
        pool.submit("first", pid)
        ((_, first),) = pool.done(60)
        os.kill(first.result(), signal.SIGKILL)
        while pool._idle[0]._flags.broken is None:
            time.sleep(0.01)
        pool.submit("second", pid)
        ((work, second),) = pool.done(60)
        assert work == "second"
        assert second.result() != first.result()


@pytest.mark.parametrize("problem", ["damaged", "in use"])
def test_a_record_that_cannot_be_closed_fails_its_run_alone(tmp_path: Path, problem: str) -> None:
    (task,) = seeds(tmp_path, 1)
    held = Journal(task.directory)
    held.write("run", run_id="0")
    if problem == "damaged":
        held.close("KILLED")
        held.path.write_text("nonsense\n")
    future: Future[list[Outcome]] = Future()
    future.set_exception(BrokenProcessPool("SIGKILL"))
    with SweepProgress(tmp_path) as progress:
        progress.begin({task.directory: (0, task.name)}, 1)
        assert list(judged(Work([task], resume=True, kills=1), future, progress)) == []
    said = {"damaged": "is damaged", "in use": "is being written by another process"}
    assert progress.outcomes[0].status == "FAILED"
    assert said[problem] in str(progress.outcomes[0].reason)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"n_jobs": 0}, "hydra.launcher.n_jobs=0: must be at least 1, or null"),
        ({"max_stack": -3}, "hydra.launcher.max_stack=-3: must be at least 1, or null"),
        ({"n_jobs": "x"}, "hydra.launcher.n_jobs=x: must be at least 1, or null"),  # from an edited sweep.json
        ({"backend": ["loky"]}, "hydra.launcher.backend=.*: there is no such choice"),
        ({"backend": "threads"}, "hydra.launcher.backend=threads: .* choose from loky, sequential"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings: dict[str, object], line: str, tmp_path: Path) -> None:
    with pytest.raises(NnlabError, match=line):
        trained(seeds(tmp_path, 1), **settings)
    assert not (tmp_path / "0").exists()


Sweep = subprocess.Popen[str]


@pytest.fixture
def endless(outputs: Path) -> Iterator[Sweep]:
    """A sweep of four runs on two workers that will be busy for hours, in a session of its own; two more wait."""
    overrides = ["seed=range(6)", "training.epochs=10000000", "tracking=none"]
    settings = ["hydra.launcher.n_jobs=2", "hydra.launcher.max_stack=2"]
    command = [sys.executable, "-m", "nnlab", "train", "-m", *overrides, *settings]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as sweep:
        yield sweep
        sweep.kill()


def busy_workers(sweep: Sweep, outputs: Path) -> list[int]:
    """The processes that train, once there are two that do."""
    for _ in range(600):
        if len([path for path in outputs.glob(f"sweeps/*/*/{journal.NAME}") if path.stat().st_size > 5000]) == 4:
            break
        assert sweep.poll() is None, sweep.communicate()[1]
        time.sleep(0.1)
    children = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]


def are_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)


@linux
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C on a terminal", "the end of a batch system's job"]
)
def test_an_interrupt_of_the_group_ends_all_and_closes_the_records(
    number: signal.Signals, endless: Sweep, outputs: Path
) -> None:
    pids = busy_workers(endless, outputs)
    os.killpg(endless.pid, number)
    _, error = endless.communicate(timeout=60)
    assert (endless.returncode, error.splitlines()) == (130, ["nnlab: interrupted"])
    assert len(pids) == 2
    assert are_gone(pids)
    (sweep,) = outputs.glob("sweeps/*")
    records = [journal.read(sweep), *(journal.read(path.parent) for path in sweep.glob(f"*/{journal.NAME}"))]
    assert [(record.status, record.reason) for record in records] == [("KILLED", "interrupted")] * 5
    assert list(sweep.glob(".progress*")) == []
