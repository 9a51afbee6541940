"""`nnlab resume`: a sweep or a run that was stopped ends as if it had never been."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnlab import api, app, build, cli, journal, locks, paths
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.progress import Progress
from nnlab.saved_config import load_config
from nnlab.sweep import course, frozen, resumption, run_resumption
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.resumption import resume
from nnlab.tracking import runs
from nnlab.training import EpochResult
from tests.jobs import job

pytestmark = pytest.mark.usefixtures("no_pictures")

IN_PROCESS = "hydra.launcher.backend=sequential"
JOBS = ["-m", "activation=tanh,relu", "seed=0,1", "tracking=none", "training.epochs=12", "checkpoint.every=4"]


def checkpoints(sweep: Path) -> dict[str, bytes]:
    """Return every file of every run's checkpoints."""
    return {str(path.relative_to(sweep)): path.read_bytes() for path in sorted(sweep.glob("*/checkpoints/*/*"))}


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Press Ctrl-C when so many epochs have been trained, counted over the stacks."""
    seen: list[int] = []

    def epoch(_self: SweepProgress, result: EpochResult, _epochs: int, _runs: int) -> None:
        seen.append(result.epoch)
        if len(seen) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(SweepProgress, "epoch", epoch)


def stopped_sweep(monkeypatch: pytest.MonkeyPatch, epochs: int, *overrides: str) -> Path:
    sweeps = Path(os.environ["NNLAB_OUTPUTS"]) / "sweeps"
    before = set(sweeps.glob("*"))
    with monkeypatch.context() as patched:
        interrupt_after(patched, epochs)
        with pytest.raises(KeyboardInterrupt):
            app.train([*JOBS, IN_PROCESS, *overrides])
    (sweep,) = set(sweeps.iterdir()) - before  # not the last by name: two may have begun in the same second
    assert journal.read(sweep).status == "KILLED"
    return sweep


def interrupting(epoch: int) -> Callable[..., None]:
    """Return what shows the progress of a lone run, and presses Ctrl-C at an epoch."""

    def show(_self: Progress, result: EpochResult, *_: object) -> None:
        if result.epoch == epoch:
            raise KeyboardInterrupt

    return show


def statuses(sweep: Path) -> list[str]:
    runs = [sweep / str(number) for number in range(4)]
    return [journal.read(run).status if (run / journal.NAME).is_file() else "" for run in runs]


@pytest.mark.parametrize("epochs", [3, 18])  # in the first of two stacks, and in the second
def test_a_stopped_sweep_ends_as_if_it_had_not_been(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], epochs: int
) -> None:
    whole = app.train([*JOBS, IN_PROCESS])
    assert whole is not None
    stopped = stopped_sweep(monkeypatch, epochs)
    assert f"go on with: nnlab resume {stopped}" in capsys.readouterr().out
    assert "KILLED" in statuses(stopped)
    stood = {run: journal.read(stopped / run).ended for run in "0123" if (stopped / run / journal.NAME).exists()}
    finished = [run for run in stood if journal.read(stopped / run).status == "FINISHED"]
    assert resume(stopped) == 0
    assert checkpoints(stopped) == checkpoints(whole)
    parent = journal.read(stopped)
    assert (parent.status, parent.run["jobs"]) == ("FINISHED", 4)
    for number in range(4):
        mine, other = (journal.read(sweep / str(number)) for sweep in (stopped, whole))
        assert mine.status == "FINISHED"
        assert mine.run["parent"] == parent.run["run_id"]
        assert mine.run["name"] == other.run["name"]
        timeless = [
            {step: {k: v for k, v in of.items() if "time/" not in k} for step, of in record.steps.items()}
            for record in (mine, other)
        ]
        assert timeless[0] == timeless[1]
        assert {path.name for path in (stopped / str(number) / ".hydra").iterdir()} == {
            "config.yaml",
            "hydra.yaml",
            "overrides.yaml",
        }
    assert [journal.read(stopped / run).ended for run in finished] == [stood[run] for run in finished]
    assert (stopped / "compare.md").read_text() == (whole / "compare.md").read_text()
    assert "jobs     4: " in capsys.readouterr().out


def test_later_edits_of_conf_change_nothing(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "activation").mkdir()
    mine = tmp_path / "activation" / "mine.yaml"
    mine.write_text("_target_: nnlab.nn.activations.LeakyReLU\nnegative_slope: 0.3\n")
    stopped = stopped_sweep(monkeypatch, 3, "activation=mine", "--config-dir", str(tmp_path))
    mine.write_text("_target_: nnlab.nn.activations.LeakyReLU\nnegative_slope: 0.9\n")
    resume(stopped)
    assert {journal.read(stopped / run).params["activation.negative_slope"] for run in ("0", "1")} == {0.3}


def test_a_run_keeps_the_threads_that_it_began_with(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["-m", "seed=0,1", "tracking=none", "training.epochs=12", "checkpoint.every=4", "hydra/launcher=basic"]
    with monkeypatch.context() as patched:
        patched.setattr(Progress, "epoch", interrupting(6))
        with pytest.raises(KeyboardInterrupt):
            app.train(given)
    (sweep,) = (outputs / "sweeps").iterdir()
    used = journal.read(sweep / "0").params[
        "training.blas_threads"
    ]  # all that there are, which Hydra's launcher leaves
    resume(sweep)
    assert [journal.read(sweep / run).params["training.blas_threads"] for run in "01"] == [used, used]
    assert [load_config(sweep / run / "config.yaml").training.blas_threads for run in "01"] == [None, None]
    assert statuses(sweep)[:2] == ["FINISHED"] * 2


def test_what_is_finished_needs_nothing(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = app.train([*JOBS, IN_PROCESS])
    assert sweep is not None
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert resume(sweep) == 0
    assert resume(sweep / "0") == 0
    assert {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()} == before
    printed = capsys.readouterr().out
    assert "nothing to do: 4 FINISHED" in printed
    assert "nothing to do: the run is FINISHED" in printed


def test_failed_runs_are_left_alone_until_asked_for(outputs: Path) -> None:
    diverging = ["optimizer.lr=1e30,0.1", "loss=mse", "seed=0", "activation=relu"]
    with pytest.raises(NnlabError, match="1 of 2 jobs failed"):
        app.train(["-m", *diverging, "tracking=none", "training.epochs=2", IN_PROCESS])
    (sweep,) = (outputs / "sweeps").iterdir()
    before = (sweep / "0" / journal.NAME).read_bytes()
    words = {sweep: "1 FAILED, 1 FINISHED; --retry-failed trains them again", sweep / "0": "FAILED .*NaN or Inf"}
    for what, said in words.items():
        with pytest.raises(NnlabError, match=f"nothing to do: .*{said}") as nothing:
            resume(what)
        assert nothing.value.exit_code == 1
    assert (sweep / "0" / journal.NAME).read_bytes() == before
    with pytest.raises(NnlabError, match="1 of 2 jobs failed") as caught:  # for its numbers are what they were
        resume(sweep, retry_failed=True)
    assert caught.value.exit_code == 1
    assert len((sweep / "0" / journal.NAME).read_bytes()) > len(before)
    assert journal.read(sweep).status == "FAILED"


def finished_sweep() -> Path:
    sweep = app.train(["-m", "seed=0", "tracking=none", "training.epochs=1", IN_PROCESS])
    assert sweep is not None
    return sweep


def without_answer(sweep: Path) -> Path:
    """Return a sweep as it is when it is killed before it concludes."""
    lines = (sweep / journal.NAME).read_bytes().splitlines(keepends=True)
    (sweep / journal.NAME).write_bytes(b"".join(lines[:2]))
    return sweep


def test_a_sweep_that_is_gone_on_with_is_running_whatever_it_was_before(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = finished_sweep()
    with (sweep / journal.NAME).open("a") as file:
        file.write('{"type":"status","timestamp":2,"status":"FAILED","reason":"1 of 1 jobs failed"}\n')
    seen: list[str] = []
    monkeypatch.setattr(course, "_conclude", lambda *_: seen.append(journal.read(sweep).status))
    resume(sweep)
    assert (seen, journal.read(sweep).status) == (["RUNNING"], "FINISHED")


def test_sigterm_at_the_end_of_a_resumed_sweep_closes_its_record(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = without_answer(finished_sweep())
    monkeypatch.setattr(course, "_conclude", lambda *_: signal.raise_signal(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(KeyboardInterrupt):
            resume(sweep)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert journal.read(sweep).status == "KILLED"


def test_nothing_is_written_until_the_sweep_is_ours(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = without_answer(finished_sweep())
    edit_plan(sweep, lambda node: node["jobs"][0].update(stands="../gone"))
    plan = (sweep / "sweep.json").read_bytes()
    monkeypatch.setattr(resumption, "wait_for_others", lambda _: None)  # who came just now was not there then
    other = Journal(sweep)
    with pytest.raises(NnlabError, match="being written by another process"):
        resume(sweep)
    other.close("KILLED")
    assert (sweep / "sweep.json").read_bytes() == plan
    resume(sweep)
    assert frozen.referred(sweep) == []


def test_a_symbolic_link_leads_nothing_out_of_what_is_gone_on_with(outputs: Path, tmp_path: Path) -> None:
    sweep, precious = without_answer(finished_sweep()), tmp_path / "precious"
    (sweep / "latest").symlink_to(sweep / "0")  # which is inside
    resume(sweep)
    link = without_answer(sweep) / "0" / ".hydra" / "config.yaml"
    link.unlink()
    link.symlink_to(precious)
    with pytest.raises(NnlabError, match=f"{link} is a symbolic link that leads out of {sweep}"):
        resume(sweep)
    with (sweep / "0" / journal.NAME).open("a") as file:  # the run alone, as if it had been killed
        file.write('{"type":"tags","timestamp":1,"tags":{}}\n')
    with pytest.raises(NnlabError, match=f"{link} is a symbolic link that leads out of {sweep / '0'}"):
        resume(sweep / "0")


def test_a_notebook_may_name_the_home_folder(outputs: Path) -> None:
    finished_sweep().rename(Path.home() / "sweep")
    assert api.resume("~/sweep")["status"].tolist() == ["FINISHED"]


def test_what_is_gone_on_with_stays_in_its_outputs_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NNLAB_OUTPUTS")
    outputs = paths.outputs_dir()
    sweep = without_answer(finished_sweep())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    resume(sweep)
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{outputs} is taken as the outputs root, as this lies in it",
        f"outputs  {outputs}",
    ]
    assert "NNLAB_OUTPUTS" not in os.environ
    assert list(Path().iterdir()) == []
    with resumption._outputs_root_of(sweep / "0"):
        assert paths.outputs_dir() == outputs
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "another"))
    with resumption._outputs_root_of(sweep):
        assert paths.outputs_dir() == outputs
    assert os.environ["NNLAB_OUTPUTS"] == str(tmp_path / "another")
    monkeypatch.delenv("NNLAB_OUTPUTS")
    mine = tmp_path / "elsewhere" / "runs" / "mine"  # hydra.run.dir=runs/mine
    Journal(mine).close("KILLED")
    runs.note(paths.outputs_dir(), mine)
    with resumption._outputs_root_of(mine):
        assert paths.outputs_dir() == tmp_path / "elsewhere" / "outputs"


def test_a_sweep_that_was_killed_before_its_answer_gets_it(outputs: Path) -> None:
    sweep = app.train([*JOBS, IN_PROCESS])
    assert sweep is not None
    lines = (sweep / journal.NAME).read_bytes().splitlines(keepends=True)
    (sweep / journal.NAME).write_bytes(b"".join(lines[:2]))
    (sweep / "compare.md").unlink()
    resume(sweep)
    assert journal.read(sweep).status == "FINISHED"
    assert (sweep / "compare.md").is_file()
    for kept in (lines[:1], []):  # killed between the lines of its record, or before it
        (sweep / journal.NAME).write_bytes(b"".join(kept))
        resume(sweep)
        assert journal.read(sweep).run["jobs"] == 4
        assert journal.read(sweep).params["sweep.jobs"] == 4


def edit_plan(sweep: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    node = json.loads((sweep / "sweep.json").read_text())
    edit(node)
    (sweep / "sweep.json").write_text(json.dumps(node))


def test_other_code_or_data_are_refused_and_nothing_is_changed(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = stopped_sweep(monkeypatch, 3)
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    with monkeypatch.context() as patched:
        patched.setattr(run_resumption, "code_version", lambda: "f" * 64)
        for directory in (sweep, sweep / "0"):
            with pytest.raises(NnlabError, match=r"other code \(code version [0-9a-f]{12}, now ffffffffffff\)"):
                resume(directory)
    dataset, x = build.load(job().config.dataset, "float32")
    object.__setattr__(dataset, "data_hash", "e" * 64)
    with monkeypatch.context() as patched:
        patched.setattr(run_resumption, "load", lambda *_: (dataset, x))
        for directory in (sweep, sweep / "0"):
            with pytest.raises(NnlabError, match=r"other data \(wine had the hash [0-9a-f]{12}, now eeeeeeeeeeee\)"):
                resume(directory)
    build._load.cache_clear()
    assert {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()} == before


def test_who_is_at_work_is_not_disturbed(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = stopped_sweep(monkeypatch, 3)
    monkeypatch.setattr(resumption, "_GRACE_SECONDS", 0.1)
    for at_work in (sweep, sweep / "0"):
        shutil.copy(at_work / journal.NAME, sweep / "kept")
        alive = Journal(at_work)
        alive.write("tags", tags={})
        with pytest.raises(NnlabError, match=rf"{at_work} is at work in another process"):
            resume(sweep)
        alive.close("KILLED")
        shutil.copy(sweep / "kept", at_work / journal.NAME)


def test_what_is_no_sweep_and_no_run_is_refused(outputs: Path, tmp_path: Path) -> None:
    with pytest.raises(NnlabError, match="holds no run and no planned sweep"):
        resume(tmp_path)
    with pytest.raises(NnlabError, match="holds no run and no planned sweep"):
        resume(tmp_path / "nowhere")
    Journal(tmp_path / "old").close("KILLED")
    with pytest.raises(NnlabError, match="stopped before it began"):
        resume(tmp_path / "old")
    parent = Journal(tmp_path / "parent")
    parent.write("run", run_id="1", tags={"nnlab.kind": "reproduction"})
    parent.close("KILLED")
    with pytest.raises(NnlabError, match="`nnlab reproduce` goes on with it"):
        resume(tmp_path / "parent")


@pytest.mark.parametrize(
    "line",
    [
        {"run_id": "1"},
        {"run_id": "1", "tags": 3},
        {"run_id": "1", "tags": {}, "overrides": 4, "name": "x", "parent": None},
        {"run_id": "1", "tags": {"nnlab.code_version": "x"}, "dataset": [], "name": "x", "parent": None},
    ],
)
def test_a_hostile_run_is_refused_in_one_line(tmp_path: Path, line: dict[str, Any]) -> None:
    directory = tmp_path / "run"
    log = Journal(directory)
    log.write("run", **line)
    log.close("KILLED")
    (directory / "config.yaml").write_text(json.dumps(job().config.to_dict()))
    with pytest.raises(NnlabError) as caught:
        resume(directory)
    assert str(caught.value).isprintable()


def test_settings_of_the_launcher_are_checked(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = stopped_sweep(monkeypatch, 3)
    edit_plan(sweep, lambda node: node["launcher"].update(n_jobs="many"))
    with pytest.raises(NnlabError, match=r"launcher\.n_jobs='many'"):
        resume(sweep)
    edit_plan(sweep, lambda node: node["launcher"].update(n_jobs=0))
    with pytest.raises(NnlabError, match="n_jobs=0"):
        resume(sweep)


LONE = ["tracking=none", "training.epochs=12", "checkpoint.every=4", "training.blas_threads=1"]


def test_a_stopped_run_ends_as_if_it_had_not_been(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = app.train(LONE)
    assert whole is not None

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "epoch", interrupting(6))
        with pytest.raises(KeyboardInterrupt):
            app.train(LONE)
    (stopped,) = (path for path in (outputs / "runs").iterdir() if path != whole)
    assert f"go on with: nnlab resume {stopped}" in capsys.readouterr().out
    assert journal.read(stopped).status == "KILLED"
    with pytest.raises(SystemExit) as ended:
        cli.main(["resume", str(stopped)])
    assert ended.value.code == 0
    files = [sorted((run / "checkpoints").glob("*/*")) for run in (stopped, whole)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert journal.read(stopped).status == "FINISHED"
    assert "accuracy  train" in capsys.readouterr().out


def test_a_sweep_whose_processes_were_all_killed_ends_as_if_they_had_not_been(outputs: Path) -> None:
    long = [*JOBS, "training.epochs=200", "checkpoint.every=20"]
    whole = app.train([*long, IN_PROCESS])
    assert whole is not None
    processes = ["hydra.launcher.n_jobs=2", "hydra.launcher.max_stack=1"]
    command = [sys.executable, "-m", "nnlab", "train", *long, *processes]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [path for path in outputs.glob("sweeps/*/*/checkpoints/epoch-0000*") if whole not in path.parents][3:]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (stopped,) = (path for path in (outputs / "sweeps").iterdir() if path != whole)
    while any(locks.is_locked(path) for path in stopped.rglob(journal.NAME)):  # until its workers are gone
        time.sleep(0.05)
    edit_plan(stopped, lambda node: node["launcher"].update(backend="sequential"))
    resume(stopped)
    assert checkpoints(stopped) == checkpoints(whole)
    assert journal.read(stopped).status == "FINISHED"
