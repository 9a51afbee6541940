"""`nnlab train -m`, from its command line to the closed record of the sweep."""

import json
from pathlib import Path

import pytest

from nnlab import app, journal
from nnlab.errors import NnlabError

QUICK = ["tracking=none", "training.epochs=2", "hydra.launcher.backend=sequential"]


def sweep_of(outputs: Path) -> Path:
    (directory,) = (outputs / "sweeps").iterdir()
    return directory


def test_every_combination_runs_under_one_parent(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = app.train(["-m", "activation=tanh,relu", "seed=range(3)", *QUICK])
    assert directory == sweep_of(outputs)
    parent = journal.read(directory)
    assert parent.status == "FINISHED"
    assert parent.run["name"] == "activation x seed: 6 runs"
    children = [journal.read(directory / str(number)) for number in range(6)]
    assert {child.run["parent"] for child in children} == {parent.run["run_id"]}
    assert [child.run["name"] for child in children] == [
        f"activation={activation} seed={seed}" for activation in ("tanh", "relu") for seed in range(3)
    ]
    assert [child.params["seed"] for child in children] == [0, 1, 2, 0, 1, 2]
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == f"outputs  {outputs}"
    assert printed.count("FINISHED") == 6
    assert "mean over seeds" in printed


def test_a_failed_job_does_not_stop_the_others(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NnlabError, match="2 of 4 jobs failed") as caught:
        app.train(["-m", "optimizer.lr=1e30,0.1", "seed=0,1", "activation=relu", "loss=mse", *QUICK])
    assert caught.value.exit_code == 1
    directory = sweep_of(outputs)
    assert [journal.read(directory / str(number)).status for number in range(4)] == ["FAILED"] * 2 + ["FINISHED"] * 2
    assert journal.read(directory).status == "FAILED"
    assert "2 of 4" in str(journal.read(directory).reason)
    assert "NaN or Inf in layer 0" in capsys.readouterr().out


def test_a_sweep_in_which_every_run_diverges_says_so(outputs: Path) -> None:
    with pytest.raises(NnlabError, match="2 of 2 jobs failed"):
        app.train(["-m", "seed=0,1", "optimizer.lr=1e30", "activation=relu", "loss=mse", *QUICK])
    assert journal.read(sweep_of(outputs)).status == "FAILED"


def test_a_job_that_cannot_run_is_named_before_the_first_one_trains(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NnlabError, match="1 of 3 jobs failed"):
        app.train(["-m", "training.batch_size=16,-1,32", *QUICK])
    directory = sweep_of(outputs)
    assert [(directory / str(number) / "journal.jsonl").exists() for number in range(3)] == [True, False, True]
    lines = capsys.readouterr().out.splitlines()
    problem = next(number for number, line in enumerate(lines) if "job 1 (training.batch_size=-1) can't run" in line)
    first_trained = next(number for number, line in enumerate(lines) if "jobs done" in line)
    assert problem < first_trained
    assert journal.read(directory / "2").params["training.batch_size"] == 32


def test_an_interrupted_sweep_is_killed_and_its_finished_runs_stand(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnlab import runner

    original, calls = runner.run, []

    def second_is_interrupted(*arguments: object, **keywords: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "run", second_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        app.train(["-m", "seed=0,1,2", "hydra.launcher.max_stack=1", *QUICK])
    directory = sweep_of(outputs)
    assert journal.read(directory).status == "KILLED"
    assert journal.read(directory / "0").status == "FINISHED"
    assert not (directory / "2").exists()


def test_a_relative_directory_is_below_the_current_one(outputs: Path) -> None:
    directory = app.train(["-m", "seed=0,1", "hydra.sweep.dir=my/sweep", *QUICK])
    assert directory == Path("my/sweep").absolute()
    assert [journal.read(directory / number).status for number in "01"] == ["FINISHED"] * 2
    assert journal.read(directory).status == "FINISHED"


def test_no_job_gets_the_directory_of_the_sweep(outputs: Path) -> None:
    with pytest.raises(NnlabError, match=r"hydra.sweep.subdir gives it the directory of the sweep, "):
        app.train(["-m", "seed=1,2", "hydra.sweep.subdir=.", *QUICK])


def test_jobs_that_would_share_a_directory_are_refused(outputs: Path) -> None:
    with pytest.raises(NnlabError, match="1 of 2 jobs failed"):
        app.train(["-m", "seed=1,2", "hydra.sweep.subdir=x", *QUICK])
    assert journal.read(sweep_of(outputs) / "x").params["seed"] == 1
    refused = journal.read(sweep_of(outputs)).params["sweep.refused"]
    assert refused.startswith("job 1 (seed=2): hydra.sweep.subdir gives it the directory of job 0, ")


def test_the_parents_journal_says_what_was_asked_for(outputs: Path) -> None:
    app.train(["-m", "seed=0,1", *QUICK])
    first = json.loads((sweep_of(outputs) / "journal.jsonl").read_text().splitlines()[0])
    assert first["swept"] == ["seed"]
    assert first["jobs"] == 2
    assert first["overrides"][0] == "seed=0,1"
