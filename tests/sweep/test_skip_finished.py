"""`hydra.launcher.skip_finished=true`: what has finished anywhere in the outputs root is not trained again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nnlab import app, checkpoint, journal
from nnlab.api import compare
from nnlab.sweep import finished, frozen
from nnlab.sweep.resumption import resume

pytestmark = pytest.mark.usefixtures("no_pictures")

QUICK = ["tracking=none", "training.epochs=2", "hydra.launcher.backend=sequential"]


def sweep(*overrides: str) -> Path:
    directory = app.train(["-m", *QUICK, *overrides])
    assert directory is not None
    return directory


def jobs(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "sweep.json").read_text())["jobs"]
    return found


def test_an_enlarged_sweep_trains_only_what_is_new(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = sweep("seed=0,1")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    second = sweep("seed=0,1,2", "hydra.launcher.skip_finished=true")
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    assert [each["stands"] for each in jobs(second)] == [f"../{first.name}/0", f"../{first.name}/1", None]
    assert [path.parent.name for path in second.glob("*/journal.jsonl")] == ["2"]
    assert frozen.referred(second) == [first / "0", first / "1"]
    parent = journal.read(second)
    assert parent.status == "FINISHED"
    assert parent.params["sweep.finished_before"] == 2
    ids = [journal.read(first / str(number)).run["run_id"] for number in (0, 1)]
    assert parent.run["tags"]["nnlab.refers_to"] == f"0={ids[0]} 1={ids[1]}"
    assert compare(second)["n"].tolist() == [3]
    printed = capsys.readouterr().out
    assert "jobs     3, 2 of them finished before; to train: 1" in printed
    assert f"as {first.name}/1" in printed


def test_outputs_that_were_moved_hold_together(outputs: Path, tmp_path: Path) -> None:
    first = sweep("seed=0")
    second = sweep("seed=0", "hydra.launcher.skip_finished=true")
    moved = outputs.rename(tmp_path / "moved") / "sweeps"
    assert frozen.referred(moved / second.name) == [moved / first.name / "0"]
    assert frozen.thaw(moved / second.name).planned[0].stands == moved / first.name / "0"


def test_a_repeated_sweep_trains_nothing_and_still_answers(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep("seed=0,1")
    again = sweep("seed=0,1", "hydra.launcher.skip_finished=true")
    assert not list(again.glob("*/journal.jsonl"))
    assert journal.read(again).status == "FINISHED"
    assert (again / "compare.md").is_file()


def test_all_is_trained_unless_asked_otherwise(outputs: Path) -> None:
    sweep("seed=0")
    assert [each["stands"] for each in jobs(sweep("seed=0"))] == [None]


def test_only_whole_finished_runs_that_are_the_same_count(outputs: Path) -> None:
    first = sweep("seed=0,1,2", "training.blas_threads=1")
    broken = checkpoint.find(first / "0") / "0.weight.npy"
    data = bytearray(broken.read_bytes())
    data[-1] ^= 1
    broken.write_bytes(data)
    with (first / "1" / journal.NAME).open("a") as file:  # a run that somebody is gone on with, and died
        file.write(json.dumps({"type": "tags", "timestamp": 1, "tags": {}}) + "\n")
    asked = ["seed=0,1,2", "optimizer.lr=0.1,0.3", "hydra.launcher.skip_finished=true"]
    configs = [(each["config"], each["stands"]) for each in jobs(sweep(*asked))]
    stands = {(config["seed"], config["optimizer"]["lr"]): directory for config, directory in configs}
    lr = journal.read(first / "2").params["optimizer.lr"]
    assert {key for key, directory in stands.items() if directory} == {(2, lr)}
    assert stands[2, lr] == f"../{first.name}/2"


def test_a_damaged_journal_spares_the_others(outputs: Path) -> None:
    first = sweep("seed=0,1")
    (first / "0" / journal.NAME).write_text("nonsense\n")
    assert [path for found in finished.find(outputs).values() for path in found] == [first / "1"]


def test_a_run_that_is_gone_is_trained_when_the_sweep_is_gone_on_with(outputs: Path) -> None:
    first = sweep("seed=0,1")
    again = sweep("seed=0,1", "hydra.launcher.skip_finished=true")
    shutil.rmtree(first / "1")
    resume(again)
    assert [path.parent.name for path in again.glob("*/journal.jsonl")] == ["1"]
    assert [each["stands"] for each in jobs(again)] == [f"../{first.name}/0", None]
    assert journal.read(again).status == "FINISHED"
