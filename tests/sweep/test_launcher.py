"""The default launcher on the command line: settings, refused jobs, Hydra's record, and Python's way in."""

from pathlib import Path

import pytest

from nnlab import app, cli, journal
from nnlab.errors import NnlabError

QUICK = ("tracking=none", "training.epochs=2", "hydra.launcher.backend=sequential")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: must be at least 1, or null"),
        ("hydra.launcher.n_jobs=x", "hydra.launcher.n_jobs=x"),
        ("hydra.launcher.n_jobs=1.5", "hydra.launcher.n_jobs=1.5"),
        ("hydra.launcher.max_stack=0", "hydra.launcher.max_stack=0: must be at least 1, or null"),
        ("hydra.launcher.backend=threads", "choose from loky, sequential"),
        ("hydra.launcher.skip_finished=perhaps", "hydra.launcher.skip_finished=perhaps"),
        (
            "hydra.launcher.njobs=2",
            "did you mean n_jobs? choose from backend, max_stack, n_jobs, scheduler, skip_finished",
        ),
        ("hydra/launcher=nothing", "choose from basic, joblib, stacked, submitit_local, submitit_slurm"),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_is_written(
    override: str, line: str, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", "seed=0,1", "tracking=none", override])
    assert caught.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error
    assert not outputs.exists()


def test_all_jobs_are_one_launch_and_refused_ones_are_passed_over(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NnlabError, match="1 of 3 jobs failed"):
        app.train(["-m", "training.batch_size=16,-1,32", *QUICK])
    (sweep,) = outputs.glob("sweeps/*")
    assert [(sweep / str(number) / journal.NAME).exists() for number in range(3)] == [True, False, True]
    assert "sweep  2 of 2 jobs done, 0 left" in capsys.readouterr().out


def test_each_job_has_a_name_a_parent_and_hydras_record(outputs: Path) -> None:
    directory = app.train(["-m", "activation=tanh,relu", "seed=1,2", *QUICK])
    assert directory is not None
    parent = journal.read(directory).run["run_id"]
    for number, (activation, seed) in enumerate((name, seed) for name in ("tanh", "relu") for seed in (1, 2)):
        run = journal.read(directory / str(number)).run
        assert (run["name"], run["parent"]) == (f"activation={activation} seed={seed}", parent)
        overrides = (directory / str(number) / ".hydra" / "overrides.yaml").read_text()
        assert f"- activation={activation}\n- seed={seed}\n" in overrides
    assert list(directory.glob(".progress*")) == []


def test_a_sweep_of_one_job_is_named_as_a_lone_run(outputs: Path) -> None:
    directory = app.train(["-m", "seed=3", *QUICK])
    assert directory is not None
    assert journal.read(directory / "0").run["name"] == "wine-mlp-tanh-s3"
