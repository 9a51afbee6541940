"""Experiments of a user's own file, re-earned for real: moons, a few epochs."""

import functools
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from nnlab import cli, journal, memory, run_header
from nnlab.errors import NnlabError
from nnlab.reproduction import attempts, earning
from nnlab.reproduction.experiments import find
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.workers import train_all
from nnlab.training import EpochResult

EXPERIMENT = """
# @package _global_
# A small experiment.
defaults:
  - override /dataset: moons
  - override /tracking: none
dataset:
  split: whole
training:
  epochs: 3
claim:
  system: own
  kind: own
  protocol: on the training points
  cost: 1
  seeds: [0, 1, 2]
  figures:
    - {metric: final/train_accuracy, value: 0.3, judged: at_least}
    - {metric: train/loss, epoch: 2}
  honest:
    protocol: on held-out points
    overrides: {dataset.split: stratified}
    seeds: [0, 1]
    figures:
      - {metric: final/test_accuracy}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without workers, which know nothing of what a test patches; test_workers.py has them."""
    monkeypatch.setattr(earning, "train_all", functools.partial(train_all, backend="sequential"))


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def journals(outputs: Path) -> dict[str, bytes]:
    found = sorted(outputs.glob(f"sweeps/*/*/{journal.NAME}"))
    return {str(path.relative_to(outputs)): path.read_bytes() for path in found}


def test_a_table_of_claims_with_the_honest_twin_beneath(
    experiment: Path, outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("reproduce", experiment, "--json", tmp_path / "result.json", "--markdown", tmp_path / "t.md") == 0
    printed = capsys.readouterr().out
    assert re.search(r"small .*on the training points .*final/train_accuracy .*≥ 0.3000 .* 3 .*BETTER", printed)
    assert re.search(r"the honest figure .*on held-out points .*final/test_accuracy .*reported", printed)
    result = json.loads((tmp_path / "result.json").read_text())
    claimed, honest = result["rows"]
    assert (result["reproduced"], claimed["honest"], honest["honest"]) == (True, False, True)
    runs = [journal.read(outputs / claimed["sweep"] / str(seed)) for seed in range(3)]
    accuracies = [run.metrics["final/train_accuracy"] for run in runs]
    assert claimed["figures"][0]["reached"]["values"] == accuracies
    assert claimed["figures"][0]["reached"]["mean"] == pytest.approx(sum(accuracies) / 3)
    assert claimed["figures"][1]["reached"]["values"] == [run.steps[2]["train/loss"] for run in runs]
    assert [run.params["seed"] for run in runs] == [0, 1, 2]
    assert journal.read(outputs / honest["sweep"] / "1").params["dataset.split"] == "stratified"
    assert "| small |" in (tmp_path / "t.md").read_text()
    parent = journal.read(outputs / claimed["sweep"])
    assert parent.status == "FINISHED"
    assert re.search(r"^reached 0\.\d{4} .*: BETTER$", parent.tags["nnlab.verdict.final/train_accuracy"])
    assert {run.run["parent"] for run in runs} == {parent.run["run_id"]}


def test_a_claim_that_is_not_met_ends_in_1(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment.write_text(EXPERIMENT.replace("value: 0.3", "value: 1.0"))
    assert exit_code("reproduce", experiment) == 1
    assert "NOT REPRODUCED" in capsys.readouterr().out


def test_a_run_that_fails_is_named_and_fails_the_claim(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment.write_text(EXPERIMENT.replace("training:", "optimizer: {lr: 1.0e+300}\ntraining:"))
    assert exit_code("reproduce", experiment) == 1
    printed = capsys.readouterr().out
    assert "NOT REPRODUCED" in printed
    assert "small: FAILED: 0: epoch 1: NaN or Inf" in printed


def test_what_was_interrupted_goes_on_and_what_is_over_begins_anew(
    experiment: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "WORKING_SET", 1)  # each run a stack of its own
    show, epochs = SweepProgress.epoch, iter(range(100))

    def interrupt(self: SweepProgress, result: EpochResult, total: int, runs: int) -> None:
        if next(epochs) == 6:  # in the second run
            raise KeyboardInterrupt
        show(self, result, total, runs)

    monkeypatch.setattr(SweepProgress, "epoch", interrupt)
    assert exit_code("reproduce", experiment) == 130
    first = journals(outputs)
    monkeypatch.setattr(SweepProgress, "epoch", show)
    assert [journal.read((outputs / path).parent).status for path in first] == ["FINISHED", "KILLED"]

    capsys.readouterr()
    assert exit_code("reproduce", experiment) == 0
    assert "going on" in capsys.readouterr().out
    second = journals(outputs)
    assert {path: second[path] for path in first} == first  # finished ones untouched, the killed one's record too
    assert len(list(outputs.glob("sweeps/*"))) == 2
    (sweep,) = {outputs.joinpath(*Path(path).parts[:2]) for path in first}
    assert [path.name for path in sorted(sweep.iterdir()) if path.is_dir()] == ["0", "1", "1.1", "2"]
    assert journal.read(sweep).status == "FINISHED"

    assert exit_code("reproduce", experiment) == 0  # nothing is believed because it was true once
    assert len(list(outputs.glob("sweeps/*"))) == 4


def test_runs_of_other_code_do_not_count(experiment: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code("reproduce", experiment) == 0
    (state,) = outputs.glob("reproductions/*.json")
    state.write_text(state.read_text().replace('"finished": true', '"finished": false'))
    before = journals(outputs)
    assert exit_code("reproduce", experiment) == 0
    assert journals(outputs) == before  # all there, nothing trained
    state.write_text(state.read_text().replace('"finished": true', '"finished": false'))
    for module in (attempts, run_header):
        monkeypatch.setattr(module, "code_version", lambda: "another")
    assert exit_code("reproduce", experiment) == 0
    after = journals(outputs)
    assert {path: after[path] for path in before} == before
    assert sorted(Path(path).parent.name for path in after.keys() - before.keys()) == [
        "0.1",
        "0.1",
        "1.1",
        "1.1",
        "2.1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("claim:", "claims:", "claims nothing"),
        ("final/train_accuracy", "final/tset_accuracy", "no metric 'final/tset_accuracy'; choose from final/train_"),
        ("{metric: train/loss, epoch: 2}", "{metric: penalty, epoch: 2}", "no metric of an epoch 'penalty'"),
        ("epoch: 2", "epoch: 20", "no train/loss at epoch 20; there are epochs 1 to 3"),
        ("epoch: 2", "epoch: 0", "no train/loss at epoch 0; there are epochs 1 to 3"),
        ("override /dataset: moons", "override /dataset: mooons", "dataset=mooons"),
        ("override /dataset: moons", "override /hydra/launcher: joblib", "hydra/launcher"),
        ("override /dataset: moons", "../../../etc/passwd", "is no choice"),
        ("split: whole", "split: whole\n  _target_: trap.x", "does not ship such a choice of dataset"),
        ("{dataset.split: strat", "{optimizer._target_: trap.x, dataset.split: strat", "such a choice of optimizer"),
        ("split: whole", "split: ${oc.env:HOME}", "${"),
        ("training:", "hydra: {run: {dir: /tmp/x}}\ntraining:", "hydra"),
        ("seeds: [0, 1, 2]", "seeds: [0, 0]", "given twice"),
    ],
)
def test_a_wrong_file_ends_in_one_line(
    experiment: Path,
    old: str,
    new: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("trap.py").write_text("raise SystemExit('imported')")
    experiment.write_text(EXPERIMENT.replace(old, new, 1))
    assert exit_code("reproduce", experiment) == 2
    assert "trap" not in sys.modules
    assert not Path(os.environ["NNLAB_OUTPUTS"]).exists()
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_finished_run_counts_before_a_later_attempt(
    experiment: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("reproduce", experiment) == 0
    (state,) = outputs.glob("reproductions/*.json")
    state.write_text(state.read_text().replace('"finished": true', '"finished": false'))
    sweep = min(outputs.glob("sweeps/*"))
    shutil.copytree(sweep / "1", sweep / "1.1")
    killed = sweep / "1.1" / journal.NAME
    killed.write_bytes(b"".join(killed.read_bytes().splitlines(keepends=True)[:-1]))
    damaged = sweep / "1.2" / journal.NAME
    damaged.parent.mkdir()
    damaged.write_text("no journal\n")
    before = journals(outputs)
    capsys.readouterr()
    assert exit_code("reproduce", experiment) == 0
    assert journals(outputs) == before
    assert "not counted" in capsys.readouterr().out


def test_a_damaged_state_is_named(experiment: Path, outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("reproduce", experiment) == 0
    (state,) = outputs.glob("reproductions/*.json")
    for text in ("", "[]", '{"finished": false, "sweeps": {"small": "../../x"}}', '{"sweeps": 3}'):
        state.write_text(text)
        capsys.readouterr()
        assert exit_code("reproduce", experiment) == 2
        assert f"{state} is damaged" in capsys.readouterr().err
        assert state.read_text() == text


def test_code_that_changes_while_it_trains_is_named(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_header, "code_version", lambda: "edited meanwhile")
    assert exit_code("reproduce", experiment) == 1
    assert "changed while seed 0 trained" in capsys.readouterr().err


def test_files_of_the_same_name_have_sessions_of_their_own(experiment: Path, outputs: Path) -> None:
    other = experiment.parent / "other" / experiment.name
    other.parent.mkdir()
    other.write_text(EXPERIMENT)
    assert exit_code("reproduce", experiment) == exit_code("reproduce", other) == 0
    assert len(list(outputs.glob("reproductions/*.json"))) == 2


def test_what_there_is_to_reproduce() -> None:
    assert {experiment.claim.system for experiment in find("all")} == {"S0", "S1", "S2", "S3", "S4"}
    assert {experiment.claim.cost <= 60 for experiment in find("all", quick=True)} == {True}
    with pytest.raises(NnlabError, match=r"choose from all, own, .*s0-backprop-mnist"):
        find("s9")


def test_the_command_line_says_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plain, marked, taken = tmp_path / "plain.md", tmp_path / "marked.md", tmp_path / "mnist-mlp.yaml"
    plain.write_text("# Title\n")
    marked.write_text("<!-- nnlab reproduce all -->\n<!-- end -->\n")
    taken.write_text(EXPERIMENT)
    cases: dict[tuple[Any, ...], str] = {
        ("reproduce", "nonsense"): "choose from",
        ("reproduce", "all", "--json", tmp_path / "no" / "x.json"): "no such folder",
        ("reproduce", "mnist-mlp"): "claims nothing",
        ("reproduce", "all", "--rtol", "0.1"): "--rtol is for a past run",
        ("reproduce", "all", "--trust", "a.b"): "nnlab's own experiments need none",
        ("reproduce", "all", "--markdown", tmp_path): "it is a folder",
        ("reproduce", "all", "--markdown", plain): "has no lines <!-- nnlab reproduce all -->",
        ("reproduce", "all", "--quick", "--markdown", marked): "has no lines <!-- nnlab reproduce all --quick -->",
        ("reproduce", taken): "nnlab ships an experiment of this name",
    }
    for arguments, message in cases.items():
        assert exit_code(*arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
