"""``hydra/sweeper=optuna`` from its command to its answer."""

import csv
import importlib.metadata
import json
from pathlib import Path

import pytest

from nnlab import app, journal
from nnlab.errors import NnlabError
from nnlab.search.telling import TRIAL
from nnlab.sweep.progress import SweepProgress
from tests.search.searches import QUICK, runs, search, settings, study, trials


def refused(*given: str) -> str:
    """Return the line that a search ends with before it has begun."""
    with pytest.raises(NnlabError) as caught:
        app.train(["-m", "hydra/sweeper=optuna", *QUICK, *given])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_search_says_what_it_has_found(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = ("optimizer.lr=tag(log,interval(0.001,1))", "activation=relu,tanh")
    directory = search(*settings(n_trials=5, batch=3, seeds=3), space=space)
    record = journal.read(directory)
    assert (record.status, record.run["jobs"], record.params["search.n_trials"]) == ("FINISHED", 15, 5)
    with (directory / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {}
    for trial in range(5):
        best = [journal.read(directory / str(3 * trial + run)).metrics["best/val_loss"] for run in range(3)]
        values[trial] = sum(best) / 3
    assert {int(row["trial"]): pytest.approx(float(row["value"])) for row in rows} == values
    assert [float(row["value"]) for row in rows] == sorted(values.values())
    assert {each.number: each.value for each in study(directory).trials} == pytest.approx(values)
    winner = int(rows[0]["trial"])
    assert Path(record.tags["nnlab.best_child_directory"]).name in {str(3 * winner + run) for run in range(3)}
    assert f"trial {winner} is the best" in record.tags["nnlab.finding"]
    assert "95 % interval" in record.tags["nnlab.finding"]
    assert record.tags["nnlab.finding"] in capsys.readouterr().out
    of_run = journal.read(directory / "0")
    assert of_run.run["parent"] == record.run["run_id"]
    assert {journal.read(directory / str(run)).params["seed"] for run in range(15)} == {0, 1, 2}
    assert json.loads((directory / "sweep.json").read_text())["search"]["settings"]["seeds"] == 3
    overrides = (directory / "4" / ".hydra" / "overrides.yaml").read_text()
    assert f"optimizer.lr={of_run_lr(directory / '4')}" in overrides


def of_run_lr(directory: Path) -> float:
    lr: float = journal.read(directory).params["optimizer.lr"]
    return lr


@pytest.mark.parametrize("pruner", ["median", "successive_halving"])
def test_it_is_the_same_however_many_workers_there_are(outputs: Path, pruner: str) -> None:
    given = settings(n_trials=6, batch=3, seeds=2, pruner=pruner, median__startup_trials=1)
    one, three = (search(*given, f"hydra.launcher.n_jobs={workers}") for workers in (1, 3))
    assert trials(study(one)) == trials(study(three))
    assert runs(one) == runs(three)


def test_trials_that_diverge_are_told_and_the_search_goes_on(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(n_trials=6, batch=6, seeds=2, sampler="random", pruner="successive_halving", sampler_seed=1)
    space = ("optimizer.lr=0.1,1e30",)
    directory = search("loss=mse", "activation=relu", *given, space=space)
    by_lr: dict[float, set[str]] = {}
    for each in study(directory).get_trials():
        by_lr.setdefault(each.params["optimizer.lr"], set()).add(each.state.name)
    assert by_lr[1e30] == {"FAIL"}
    assert "COMPLETE" in by_lr[0.1]
    assert journal.read(directory).status == "FINISHED"
    assert "failed;" in capsys.readouterr().out
    with pytest.raises(NnlabError, match="no trial is complete: 2 failed") as caught:
        search(
            "loss=mse", "activation=relu", *settings(n_trials=2), space=("optimizer.lr=tag(log,interval(1e29,1e30))",)
        )
    assert caught.value.exit_code == 1


def test_a_study_that_is_there_is_gone_on_with(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(batch=2, storage=f"sqlite:///{tmp_path}/mine.db", study_name="mine")
    first = search(*given, *settings(n_trials=2))
    second = search(*given, *settings(n_trials=4))
    assert "which has 2 trials" in capsys.readouterr().out
    import optuna

    known = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path}/mine.db").get_trials()
    ids = [journal.read(directory).run["run_id"] for directory in (first, second)]
    assert [each.user_attrs[TRIAL] for each in known] == [
        *(f"{ids[0]}/{number}" for number in range(2)),
        *(f"{ids[1]}/{number}" for number in range(4)),
    ]
    assert len({each.params["optimizer.lr"] for each in known}) == 6  # asked for by its number in the study
    words = refused(*given, "optimizer.lr=interval(0.1,0.2)", *settings(direction="maximize"))
    assert "is to minimize, not to maximize" in words
    words = refused(*given, "activation=relu,gelu", *settings(n_trials=1))
    assert "another space" in words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "there is no space to search"),
        (["optimizer.lr=interval(-1,1)"], "lr must be above 0"),
        (["optimizer.momentum=0.5,0.9,1.5"], "momentum must be at least 0 and below 1, got 1.5"),
        (["training.epochs=interval(2,6)"], r"int(interval(a,b))"),
        (["optimizer=sgd,adam", "optimizer.momentum=interval(0,0.9)"], "optimizer.momentum: there is no such key"),
        (["activation=relu,thanh"], "activation=thanh: there is no such choice; choose from"),
        (["optimizer.lrr=1,2"], "did you mean lr"),
        (["seed=0,1"], "hydra.sweeper.seeds"),
        (["optimizer.lr=1,2", "hydra.sweeper.n_trial=3"], "did you mean n_trials"),
        (["optimizer.lr=1,2", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: it should be greater"),
        (["optimizer.lr=1,2", "hydra.sweeper.n_trials=x"], "hydra.sweeper.n_trials=x"),
        (["optimizer.lr=1,2", "hydra.sweeper.sampler=cma"], "it should be 'tpe' or 'random'"),
        (["optimizer.lr=1,2", "hydra.sweeper.pruner=hyperband"], "'none', 'median' or 'successive_halving'"),
        (["optimizer.lr=1,2", "hydra.sweeper.successive_halving.reduction_factor=1"], "greater than or equal to 2"),
        (["optimizer.lr=1,2", "hydra.sweeper.metric=test/loss"], "must not depend on the test part; choose from"),
        (["optimizer.lr=1,2", "hydra.sweeper.metric=val/los"], "the runs have none such; choose from"),
        (["optimizer.lr=1,2", "hydra.sweeper.storage=nowhere"], "no URL"),
        (["optimizer.lr=1,2", "hydra.sweeper.storage='sqlite://'"], "name a file"),
        (["optimizer.lr=1,2", "hydra.sweeper.storage=sqlite:////no/where/x.db"], "unable to open database file"),
        (["optimizer.lr=1,2", "hydra/launcher=basic"], "hydra/launcher=stacked"),
        (["optimizer.lr=1,2", "hydra.launcher.skip_finished=true"], "trains all of its trials itself"),
        (["optimizer.lr=1,2", "hydra.sweep.subdir=x"], "hydra.sweep.subdir"),
    ],
)
def test_what_cannot_work_ends_in_one_line_before_anything_trains(outputs: Path, given: list[str], words: str) -> None:
    if "hydra/launcher=basic" in given:
        with pytest.raises(NnlabError, match=words):
            app.train(["-m", "hydra/sweeper=optuna", "tracking=none", *given])
    else:
        assert words in refused(*given)
    assert not list(outputs.glob("sweeps/*/[0-9]*"))


def test_settings_that_follow_from_a_searched_one_are_refused(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "schedule").mkdir()
    (tmp_path / "schedule" / "mine.yaml").write_text(
        "_target_: nnlab.optim.schedules.step\nper: epoch\nwarmup: 0\nstart: 0.0\n"
        "step_size: ${training.epochs}\ngamma: 0.5\n"
    )
    words = refused("schedule=mine", "training.epochs=2,4", "--config-dir", str(tmp_path))
    assert "schedule: it refers to a setting that is searched" in words


def test_without_optuna_it_is_said_how_to_get_it(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert "pip install 'nnlab[optuna]'" in refused("optimizer.lr=1,2")
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "4.9.0")
    assert "wants Optuna 5, and 4.9.0 is installed" in refused("optimizer.lr=1,2")


def test_the_progress_counts_what_is_pruned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from nnlab.watcher import Outcome

    with SweepProgress(tmp_path, "search", jobs=4) as progress:
        progress.begin({tmp_path / "0": (0, ""), tmp_path / "1": (1, "")}, 20)
        progress.trained(12)
        progress.ended(tmp_path / "0", Outcome("FINISHED"), 0)
        progress.ended(tmp_path / "1", Outcome("KILLED", "pruned after epoch 2"), 8)
    assert "1 of 4 jobs done, 1 pruned, 2 left" in capsys.readouterr().out
