"""Past runs done again from what a store kept of them, their directories gone; a real sqlite store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nnlab import journal, runner
from nnlab.errors import NnlabError
from nnlab.reproduction import past
from nnlab.reproduction.run_report import RunVerdict
from nnlab.tracking import follower
from tests.jobs import job
from tests.reproduction.runs import again, without_plots
from tests.tracking.conftest import Lab

Mirroring = Callable[..., bool]
STOPS = (
    "optimizer.lr=1.5",
    "optimizer.momentum=0.9",
    "training.epochs=60",
    "training.early_stopping.patience=4",
    "training.log_every_updates=2",
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    monkeypatch.setattr(follower, "ensure", lambda *_: None)


def train(lab: Lab, *overrides: str, name: str = "old") -> Path:
    directory = lab.outputs / "runs" / name
    runner.run([job("tracking=mlflow", *overrides)], [directory])
    return directory


def mlflow_id(lab: Lab, run_id: str) -> str:
    (found,) = lab.sql("select run_uuid from tags where key = 'nnlab.run_id' and value = ?", run_id)
    return str(found)


def tags(lab: Lab, mlflow_run_id: str) -> dict[str, str]:
    return dict(lab.sql("select key, value from tags where run_uuid = ?", mlflow_run_id))


def test_a_run_is_done_again_by_its_id_and_linked_in_the_store(lab: Lab, mirror: Mirroring) -> None:
    directory = train(lab, *STOPS)
    mirror(directory)
    run_id = journal.read(directory).run["run_id"]
    old = mlflow_id(lab, run_id)
    known = past.of_directory(directory)
    assert known.mlflow_run_id == old

    local = again(old)
    assert local.verdict is RunVerdict.IDENTICAL
    assert local.old.directory == directory
    assert local.new.directory is not None
    for each in (directory, local.new.directory):
        mirror(each)
    new = mlflow_id(lab, local.new.run_id)
    assert tags(lab, old)["nnlab.reproduced_by"] == local.new.run_id
    assert tags(lab, new)["nnlab.reproduces"] == run_id
    assert tags(lab, new)["nnlab.reproduces_mlflow"] == old
    assert tags(lab, new)["nnlab.verdict"] == "IDENTICAL"
    assert lab.sql("select status from runs") == ["FINISHED", "FINISHED"]
    assert list(local.tracked) == [local.new.directory, directory]

    shutil.rmtree(directory)
    for what in (old, run_id):
        remote = again(what)
        assert remote.verdict is RunVerdict.IDENTICAL
        assert (remote.old.directory, remote.old.mlflow_run_id, remote.old.run_id) == (None, old, run_id)
        assert remote.numbers.epochs == local.numbers.epochs
        assert remote.numbers.updates == local.numbers.updates > 0
        assert remote.numbers.compared == local.numbers.compared
        assert remote.checkpoints.final_equal is True
        assert remote.checkpoints.initial_equal is True
        assert list(remote.changed) == []
        assert remote.new.directory is not None
        assert journal.read(remote.new.directory).run["overrides"] == list(known.overrides)
        assert list(remote.tracked) == [remote.new.directory]


def test_a_run_that_diverged_and_one_whose_initial_weights_are_gone(
    lab: Lab, mirror: Mirroring, tmp_path: Path
) -> None:
    first = train(lab, "seed=5", name="first")
    given = tmp_path / "given"
    (first / "checkpoints" / "epoch-000000").rename(given)
    second = train(lab, f"initializer.from={given}", name="second")
    failed = train(lab, "activation=relu", "optimizer.lr=1e30", "loss=mse", name="failed")
    ids = []
    for directory in (second, failed):
        mirror(directory)
        ids.append(mlflow_id(lab, journal.read(directory).run["run_id"]))
        shutil.rmtree(directory)
    shutil.rmtree(given)
    report = again(ids[0])
    assert report.verdict is RunVerdict.IDENTICAL
    assert f"initializer.from={given} is gone" in report.notes[0]
    report = again(ids[1])
    assert report.verdict is RunVerdict.IDENTICAL
    assert (report.old.status, report.new.status) == ("FAILED", "FAILED")
    assert report.old.reason == report.new.reason


def test_what_can_not_be_done_again_is_refused_in_one_line(lab: Lab, mirror: Mirroring, tmp_path: Path) -> None:
    directory = train(lab)
    mirror(directory)
    run_id = mlflow_id(lab, journal.read(directory).run["run_id"])
    shutil.rmtree(directory)
    sweep = lab.journal(
        "sweeps/s", {"type": "status", "status": "FINISHED", "reason": None}, run_id="p", tags={"nnlab.kind": "sweep"}
    )
    mirror(sweep)
    parent = mlflow_id(lab, "p")
    shutil.rmtree(sweep)

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{lab.database}")
    artifacts = lab.outputs / "artifacts" / "nnlab-wine" / run_id / "artifacts"

    def refused(what: str, message: str) -> None:
        before = sorted(lab.outputs.rglob("*"))
        with pytest.raises(NnlabError, match=message) as caught:
            again(what)
        assert "\n" not in str(caught.value)
        assert sorted(lab.outputs.rglob("*")) == before

    refused("0" * 32, "there is no such run, neither in the outputs root nor in the store")
    refused(parent, f"{parent} is a sweep: .* it has none")
    client.set_tag(run_id, "mlflow.parentRunId", parent)
    refused(parent, f"{parent} is a sweep: .*such as {run_id}")
    client.update_run(run_id, status="RUNNING")
    refused(run_id, f"{run_id} is RUNNING in the store")
    client.set_terminated(run_id, "FINISHED")
    client.delete_run(run_id)
    refused(run_id, f"{run_id} was deleted .*mlflow runs restore --run-id {run_id}")
    client.restore_run(run_id)

    config = artifacts / "config.yaml"
    saved = config.read_text()
    config.write_text(" " * 2_000_000)
    refused(run_id, r"config.yaml in the store is a folder, or larger than 1 MB")
    config.write_text("seed: !!python/object/apply:os.system [exit]")
    refused(run_id, "config.yaml")
    config.unlink()
    refused(run_id, "has no config.yaml in the store")
    config.write_text(saved)
    (artifacts / "checkpoints" / "epoch-000005" / "deep").mkdir()
    (artifacts / "checkpoints" / "epoch-000005" / "deep" / "x").write_text("x")
    refused(run_id, "'checkpoints/epoch-000005/deep' in the store is not a checkpoint's file")
    shutil.rmtree(artifacts / "checkpoints" / "epoch-000005" / "deep")
    (artifacts / "checkpoints" / "epoch-000005" / "0.bias.npy").write_bytes(b"x")
    refused(run_id, r"0.bias.npy is damaged: its SHA-256 is not the manifest's")


def test_a_store_that_is_not_there(outputs: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirroring) -> None:
    (outputs / "mlflow.db").unlink()
    with pytest.raises(NnlabError, match=r"no such run, and no store at .*mlflow\.db yet"):
        again("0" * 32)
    assert not (outputs / "mlflow.db").exists()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:p@ss@127.0.0.1:9")  # nobody listens there
    with pytest.raises(NnlabError, match=r"the store http://\*\*\*@127\.0\.0\.1:9 can't be read: ") as caught:
        again("0" * 32)
    assert caught.value.exit_code == 1
    assert "p@ss" not in str(caught.value)
    assert "\n" not in str(caught.value)
