"""Runs that are carried from one outputs root to another and back: the record, the bytes, and the rows in MLflow."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nnlab import api, app, journal
from nnlab.cli import main
from nnlab.portable import importing
from nnlab.progress import Progress
from nnlab.sweep.resumption import resume
from nnlab.tracking import follower, runs, store
from nnlab.training import EpochResult
from tests.reproduction.runs import without_plots
from tests.tracking.test_recovery import FINISHED, metrics

if TYPE_CHECKING:
    from tests.tracking.conftest import Lab

Mirror = Callable[..., bool]
JOB = ["training.epochs=12", "checkpoint.every=4", "optimizer.momentum=0.9", "training.early_stopping.patience=9"]


@pytest.fixture(autouse=True)
def no_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirror by hand, in this process."""
    without_plots(monkeypatch)
    monkeypatch.setattr(follower, "ensure", lambda *_: None)
    monkeypatch.setattr(follower, "wait", lambda *_: True)


def nnlab(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    assert ended.value.code == 0


def checkpoints(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("checkpoints/*/*")}


def test_begun_here_ended_elsewhere_and_brought_back(
    lab: Lab, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_self: Progress, result: EpochResult, *_: object) -> None:
        if result.epoch == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            app.train(JOB)
    (here,) = runs.find(lab.outputs)
    mirror(here)
    rows, begun = lab.rows(), (here / journal.NAME).read_bytes()
    assert lab.sql("select status from runs") == ["KILLED"]
    nnlab("export", here, "-o", tmp_path / "out.zip")

    away = tmp_path / "cluster"
    monkeypatch.setenv("NNLAB_OUTPUTS", str(away))
    nnlab("import", tmp_path / "out.zip")
    there = away / here.relative_to(lab.outputs)
    assert resume(there) == 0
    assert not (away / "mlflow.db").exists()  # it is not reached from there
    nnlab("reproduce", there)
    assert "IDENTICAL" in capsys.readouterr().out
    nnlab("export", there, "-o", tmp_path / "back.zip")
    whole = app.train(JOB)
    assert whole is not None
    shutil.move(away, tmp_path / "gone")
    whole = tmp_path / "gone" / whole.relative_to(away)

    monkeypatch.setenv("NNLAB_OUTPUTS", str(lab.outputs))
    nnlab("import", tmp_path / "back.zip")
    assert (here / journal.NAME).read_bytes().startswith(begun)
    assert journal.read(here).status == "FINISHED"
    assert checkpoints(here) == checkpoints(whole)
    assert api.evaluate(here) == api.evaluate(whole)
    assert mirror(here)
    assert {*rows["metrics"]} < {*lab.rows()["metrics"]}
    assert len(rows["runs"]) == len(lab.rows()["runs"]) == 1
    assert lab.sql("select status from runs") == ["FINISHED"]
    expected = Counter((name, step) for step, values in journal.read(here).steps.items() for name in values)
    assert Counter(lab.sql("select key, step from metrics")) == expected
    after = lab.rows()
    nnlab("import", tmp_path / "back.zip")
    assert mirror(here)
    assert lab.rows() == after


def _sweep(lab: Lab) -> Path:
    sweep = lab.journal("sweeps/s", metrics(0, a=1.0), FINISHED, run_id="s", name="s", jobs=2)
    for number in range(2):
        lab.journal(f"sweeps/s/{number}", metrics(0, a=float(number)), FINISHED, run_id=f"s{number}", parent="s")
    return sweep


@pytest.mark.parametrize(
    ("first", "then"),
    [(["sweeps/s"], ["sweeps/s"]), (["sweeps/s/0", "sweeps/s/1"], ["sweeps/s"]), (["sweeps/s"], ["sweeps/s/1"])],
    ids=["the sweep by both", "its runs before it", "one run after it"],
)
@pytest.mark.parametrize("at_home", ["first", "last", "never"])
def test_one_store_has_a_run_once_whichever_way_it_came(
    lab: Lab,
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: list[str],
    then: list[str],
    at_home: str,
) -> None:
    from nnlab.tracking.mirror import Mirror as Connection

    server = store.uri(lab.outputs)
    _sweep(lab)
    away = tmp_path / "away"

    def mirror_all(outputs: Path) -> None:
        connection = Connection(outputs, server)
        for directory in runs.find(outputs):
            assert connection.run(directory)

    if at_home == "first":
        mirror_all(lab.outputs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for number, what in enumerate((first, then)):
        file = tmp_path / f"{number}.zip"
        monkeypatch.setenv("NNLAB_OUTPUTS", str(lab.outputs))
        nnlab("export", *(lab.outputs / each for each in what), "-o", file)
        monkeypatch.setenv("NNLAB_OUTPUTS", str(away))
        nnlab("import", file)
        mirror_all(away)
    if at_home == "last":
        mirror_all(lab.outputs)
    ids = dict(lab.sql("select value, run_uuid from tags where key = 'nnlab.run_id'"))
    assert len(lab.sql("select run_uuid from runs")) == len(ids) == 3
    parents = dict(lab.sql("select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
    assert parents == {ids["s0"]: ids["s"], ids["s1"]: ids["s"]}
    assert len(lab.sql("select key from metrics")) == 3


def test_an_import_waits_for_what_is_to_be_mirrored_and_for_nothing_else(
    lab: Lab, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.journal("runs/tracked", FINISHED, run_id="tracked")
    lab.journal("runs/untracked", FINISHED, run_id="untracked", tracking=None)
    nnlab("export", *runs.find(lab.outputs), "-o", tmp_path / "both.zip")
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "away"))
    waited: list[Any] = []
    monkeypatch.setattr(importing, "wait_until_mirrored", lambda _, left, *__, **___: waited.append(left))
    nnlab("import", tmp_path / "both.zip")
    nnlab("import", tmp_path / "both.zip")
    assert waited == [[tmp_path / "away" / "runs" / "tracked"]] * 2
    monkeypatch.setenv("NNLAB_OUTPUTS", str(lab.outputs))
    mirror(lab.outputs / "runs" / "tracked")
    nnlab("import", tmp_path / "both.zip")
    assert len(waited) == 2
