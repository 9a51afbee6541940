"""Hydra's own launchers on the same config: the same runs, and the same bytes where the BLAS threads are the same."""

import sys
from pathlib import Path

import pytest

from nnlab import app, journal, pictures, runner
from tests.jobs import job

OVERRIDES = ("training.epochs=3", "training.blas_threads=1")


def files(directory: Path) -> dict[str, bytes]:
    found = [path for path in directory.glob("checkpoints/*/*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    "launcher",
    [
        "stacked",
        "basic",
        "joblib",
        pytest.param(
            "submitit_local", marks=pytest.mark.skipif(sys.platform == "win32", reason="submitit knows Unix only")
        ),
    ],
)
@pytest.mark.filterwarnings("default")  # in their code, not ours
def test_a_sweep_by_any_launcher_is_made_of_the_same_runs(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("draw_curves", "draw_predictions"):  # which take the most time, in this process at least
        monkeypatch.setattr(pictures, name, lambda *of_run: None)
    sweep = app.train(["-m", f"hydra/launcher={launcher}", "tracking=none", "seed=0,1", *OVERRIDES])
    assert sweep is not None
    parent = journal.read(sweep)
    assert parent.status == "FINISHED"
    for number in range(2):
        lone, one = tmp_path / f"lone{number}", sweep / str(number)
        runner.run([job(f"seed={number}", *OVERRIDES)], [lone])
        assert files(one) == files(lone) != {}
        run = journal.read(one).run
        assert (run["name"], run["parent"]) == (f"seed={number}", parent.run["run_id"])
        assert run["tags"]["nnlab.config_hash"] == journal.read(lone).run["tags"]["nnlab.config_hash"]
        assert sorted(path.name for path in (one / ".hydra").iterdir()) == [
            "config.yaml",
            "hydra.yaml",
            "overrides.yaml",
        ]
