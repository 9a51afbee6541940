"""A search that was stopped, and gone on with, is the search that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from nnlab import app, journal, runner
from nnlab.errors import NnlabError
from nnlab.sweep import frozen
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.resumption import resume
from tests.search.searches import QUICK, SPACE, runs, search, settings, study, trials

HALVING = settings(
    n_trials=10, batch=4, seeds=2, pruner="successive_halving", successive_halving__min_epochs=2, sampler_seed=3
)
MEDIAN = settings(n_trials=10, batch=3, seeds=2, pruner="median", median__startup_trials=2, sampler_seed=5)


def stopped_after(epochs: int, given: list[str], outputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a search that Ctrl-C has stopped after so many epochs of stacks."""
    left = iter(range(epochs))
    with monkeypatch.context() as patched:

        def epoch(*_: object) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        patched.setattr(SweepProgress, "epoch", epoch)
        with pytest.raises(KeyboardInterrupt):
            search(*given)
    return max((outputs / "sweeps").iterdir(), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, shared_data_dir: Path) -> dict[str, Path]:
    """Searches that nothing has stopped."""
    found = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("NNLAB_DATA_DIR", str(shared_data_dir))
        patched.setenv("NNLAB_OUTPUTS", str(tmp_path_factory.mktemp("unbroken")))
        for name, given in (("halving", HALVING), ("median", MEDIAN)):
            found[name] = search(*given)
    return found


@pytest.mark.parametrize(
    ("which", "given", "epochs"), [("halving", HALVING, 7), ("halving", HALVING, 33), ("median", MEDIAN, 14)]
)
def test_the_end_is_that_of_an_unbroken_one(
    which: str, given: list[str], epochs: int, outputs: Path, monkeypatch: pytest.MonkeyPatch, unbroken: dict[str, Path]
) -> None:
    stopped = stopped_after(epochs, given, outputs, monkeypatch)
    assert journal.read(stopped).status == "KILLED"
    resume(stopped)
    whole = unbroken[which]
    assert trials(study(stopped)) == trials(study(whole))
    assert runs(stopped) == runs(whole)
    assert {trial[1] for trial in trials(study(whole))} == {"COMPLETE", "PRUNED"}  # or this would show little
    assert (stopped / "trials.csv").read_text() == (whole / "trials.csv").read_text()


def test_a_search_whose_telling_was_cut_short_tells_nothing_twice(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, unbroken: dict[str, Path]
) -> None:
    told = iter(range(6))
    real = optuna.Study.add_trial

    def add_trial(self: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if isinstance(self._storage, optuna.storages.InMemoryStorage):  # a copy that is asked
            return real(self, trial)
        if next(told, None) is None:
            raise KeyboardInterrupt
        return real(self, trial)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "add_trial", add_trial)
        with pytest.raises(KeyboardInterrupt):
            search(*HALVING)
    (stopped,) = (outputs / "sweeps").iterdir()
    assert len(trials(study(stopped))) == 6
    resume(stopped)
    assert trials(study(stopped)) == trials(study(unbroken["halving"]))
    assert runs(stopped) == runs(unbroken["halving"])


def test_a_sweeper_killed_outright_loses_nothing(outputs: Path, unbroken: dict[str, Path]) -> None:
    given = [*SPACE, *QUICK, "hydra.launcher.backend=loky", "hydra.launcher.n_jobs=2", *HALVING]
    command = [sys.executable, "-m", "nnlab", "train", "-m", "hydra/sweeper=optuna", *given]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(outputs.glob("sweeps/*/9/journal.jsonl")):  # in the second batch
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (stopped,) = (outputs / "sweeps").iterdir()
    assert journal.read(stopped).status == "KILLED"
    resume(stopped)
    assert trials(study(stopped)) == trials(study(unbroken["halving"]))
    assert runs(stopped) == runs(unbroken["halving"])


def test_what_has_ended_needs_nothing(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = search(*settings(n_trials=2, batch=2))
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert resume(directory) == 0
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    assert "nothing to do: all 2 trials have ended" in capsys.readouterr().out
    with pytest.raises(NnlabError, match="--retry-failed"):
        resume(directory, retry_failed=True)


def test_a_pruned_run_is_not_gone_on_with(
    outputs: Path, capsys: pytest.CaptureFixture[str], unbroken: dict[str, Path]
) -> None:
    whole = unbroken["halving"]
    pruned = next(whole / name for name, of in runs(whole).items() if of[0] == "KILLED")
    before = (pruned / journal.NAME).read_bytes()
    assert resume(pruned) == 0
    assert (pruned / journal.NAME).read_bytes() == before
    assert "nothing to do: the run was pruned after epoch" in capsys.readouterr().out
    job = frozen.job(whole, int(pruned.name)).job
    assert job is not None
    (outcome,) = runner.run([job], [pruned], resume=True)
    assert outcome.status == "KILLED"


def test_later_edits_of_conf_change_nothing(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "activation").mkdir()
    mine = tmp_path / "activation" / "mine.yaml"
    mine.write_text("_target_: nnlab.nn.activations.LeakyReLU\nnegative_slope: 0.3\n")
    left = iter(range(2))
    with monkeypatch.context() as patched:

        def epoch(*_: object) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        patched.setattr(SweepProgress, "epoch", epoch)
        with pytest.raises(KeyboardInterrupt):
            app.train(
                [
                    "-m",
                    "hydra/sweeper=optuna",
                    "optimizer.lr=interval(0.01,0.1)",
                    "activation=mine,relu",
                    *QUICK,
                    *settings(n_trials=8, batch=2),
                    "--config-dir",
                    str(tmp_path),
                ]
            )
    (stopped,) = (outputs / "sweeps").iterdir()
    mine.write_text("_target_: nnlab.nn.activations.LeakyReLU\nnegative_slope: 0.9\n")
    resume(stopped)
    slopes = [journal.read(path).params.get("activation.negative_slope") for path in stopped.glob("[0-9]*")]
    assert set(slopes) == {0.3, None}
    assert slopes.count(0.3) > 1
