"""Past runs read from their directories: what is found in them, and which are refused in one line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnlab import checkpoint, journal
from nnlab.errors import NnlabError
from nnlab.reproduction import circumstances, lookup, past
from tests.reproduction.runs import copy, edit_journal, train, without_plots


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, shared_data_dir: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNLAB_DATA_DIR", str(shared_data_dir))
        patch.setenv("NNLAB_OUTPUTS", str(tmp_path_factory.mktemp("template")))
        without_plots(patch)
        return train("training.log_every_updates=3", "seed=4")


@pytest.fixture
def run(template: Path, outputs: Path) -> Path:
    """A run of its own for each test, to be spoilt."""
    return Path(shutil.copytree(template, outputs / "runs" / "old"))


def test_what_is_known_of_a_run(run: Path, tmp_path: Path) -> None:
    found = lookup.find(str(run), tmp_path)
    record = journal.read(run)
    assert (found.run_id, found.name, found.status) == (record.run["run_id"], "wine-mlp-tanh-s4", "FINISHED")
    assert found.is_local
    assert not found.is_tracked
    assert sorted(found.epochs) == [0, 1, 2, 3, 4, 5]
    assert found.epochs[5]["val/loss"] == record.steps[5]["val/loss"]
    assert not any(name.startswith(("time/", "final/", "best/")) for values in found.epochs.values() for name in values)
    assert found.summary["final/test_loss"] == record.metrics["final/test_loss"]
    assert "best/epoch" in found.summary
    assert sorted(found.updates) == list(range(0, 20, 3))
    assert sorted(found.manifests) == [0, 5]
    assert found.final_epoch == 5
    assert found.data_hash == record.run["dataset"]["hash"]
    assert "seed=4" in found.overrides
    assert found.circumstances["BLAS threads"] == str(record.params["training.blas_threads"])


def test_a_run_is_found_by_its_id(run: Path, tmp_path: Path) -> None:
    other = copy(run, "a damaged one beside it")
    (other / "journal.jsonl").write_text("[]\n")
    found = lookup.find(journal.read(run).run["run_id"], tmp_path)
    assert found.directory == run


def test_a_run_from_before_there_was_an_environment_file(run: Path) -> None:
    (run / "environment.json").unlink()
    new = past.of_directory(run).circumstances
    assert new == circumstances.current(int(str(new["BLAS threads"])))

    def edit(line: dict[str, Any]) -> dict[str, Any]:
        if line["type"] == "run":
            line["environment"] = {
                "python": "3.11.7",
                "numpy": "2.4.5",
                "blas": "openblas 0.3.31 openblas 0.3.30",
                "machine": "Linux x86_64, 2 cores",
                "command": "nnlab train",
            }
            line["tags"]["nnlab.code_version"] = "f" * 64
        return line

    edit_journal(run, edit)
    then = past.of_directory(run).circumstances
    assert then == {
        "code": "f" * 64,
        "Python": "3.11.7",
        "system": "Linux x86_64",
        "BLAS": "openblas 0.3.31",
        "numpy": "2.4.5",
        "BLAS threads": new["BLAS threads"],
    }
    now = {**then, "BLAS": "openblas 0.3.31 SkylakeX", "numpy": "2.4.6", "CPU": "a fast one", "nnlab": "1"}
    assert [str(each) for each in circumstances.changed(then, now)] == ["numpy 2.4.5 then, 2.4.6 now"]
    assert circumstances.unknown(then, now) == ["CPU", "nnlab"]
    now["BLAS"] = "openblas 0.3.310 SkylakeX"
    assert len(circumstances.changed(then, now)) == 2


def drop(*types: str) -> Callable[[Path], None]:
    return lambda run: edit_journal(run, lambda line: None if line["type"] in types else line)


def update_run(**fields: Any) -> Callable[[Path], None]:
    return lambda run: edit_journal(run, lambda line: {**line, **fields} if line["type"] == "run" else line)


def bad_metric(run: Path) -> None:
    def edit(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "metrics": {"val/loss": "low"}} if line["type"] == "metrics" else line

    edit_journal(run, edit)


def of_another_epoch(run: Path) -> None:
    folder = run / "checkpoints" / "epoch-000005"
    text = (folder / "manifest.json").read_text().replace('"epoch": 5', '"epoch": 4')
    (folder / "manifest.json").write_text(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "config.yaml").unlink(), "has no config.yaml: the run was killed before it began"),
        (lambda run: (run / "journal.jsonl").unlink(), "holds no run"),
        (lambda run: (run / "journal.jsonl").write_text(""), "its journal has no beginning"),
        (lambda run: (run / "journal.jsonl").write_text("[1]\n"), "is damaged"),
        (drop("run"), "its journal has no beginning"),
        (drop("metrics"), "has recorded no epoch"),
        (bad_metric, r"journal\.jsonl is damaged"),
        (update_run(tags={"nnlab.kind": "sweep"}), "is a sweep: reproduce its runs one by one; it has none"),
        (update_run(tags=3), "its record is damaged"),
        (update_run(overrides=3), "its record is damaged"),
        (update_run(dataset=[]), "its record is damaged"),
        (lambda run: (run / "environment.json").write_text("{"), "environment.json is damaged"),
        (lambda run: (run / "environment.json").write_text("[1]"), "environment.json is damaged"),
        (lambda run: (run / "environment.json").write_text("[" * 100_000), "environment.json is damaged"),
        (lambda run: (run / "environment.json").write_text(" " * 2_000_000), "environment.json"),
        (lambda run: (run / "checkpoints/epoch-000005/manifest.json").write_text("{}"), "damaged"),
        (of_another_epoch, "is the checkpoint of another epoch: of 4"),
    ],
)
def test_what_is_no_whole_record_is_refused_in_one_line(
    spoil: Callable[[Path], object], message: str, run: Path
) -> None:
    spoil(run)
    with pytest.raises(NnlabError, match=message) as caught:
        past.of_directory(run)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_still_running_is_refused(run: Path) -> None:
    held = journal.Journal(run)
    held.write("artifact", path="x")
    with pytest.raises(NnlabError, match="still RUNNING"):
        past.of_directory(run)
    held.close("FINISHED")
    assert past.of_directory(run).status == "FINISHED"


@pytest.mark.parametrize("what", ["no/such/run", "0" * 31, "0" * 32, "F" * 32])
def test_what_is_nowhere_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(NnlabError, match="no such run"):
        lookup.find(what, tmp_path)


def test_a_died_run_counts_as_killed(run: Path) -> None:
    drop("status")(run)
    found = past.of_directory(run)
    assert (found.status, found.was_cut_short, found.has_diverged) == ("KILLED", True, False)
    assert found.final_epoch is None


@pytest.mark.parametrize(
    ("reason", "has_diverged"),
    [("epoch 3: NaN or Inf in layer 0, Linear(13 -> 5), weight", True), ("MemoryError: no room", False)],
)
def test_only_a_run_that_diverged_would_fail_again(reason: str, has_diverged: bool, run: Path) -> None:
    def edit(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "status": "FAILED", "reason": reason} if line["type"] == "status" else line

    edit_journal(run, edit)
    found = past.of_directory(run)
    assert (found.has_diverged, found.was_cut_short) == (has_diverged, not has_diverged)


def test_the_final_network_is_that_of_the_epoch_that_early_stopping_went_back_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_plots(monkeypatch)
    stops = ("optimizer.lr=1.5", "optimizer.momentum=0.9", "training.epochs=200", "training.early_stopping.patience=4")
    run = train(*stops)
    found = past.of_directory(run)
    assert found.final_epoch == journal.read(run).metrics["final/epoch"]
    assert found.folder(found.final_epoch or -1) == checkpoint.find(run, "last")
    without = copy(run)
    checkpoint.remove(without / "checkpoints" / checkpoint.name(found.final_epoch or -1))
    assert past.of_directory(without).final_epoch is None


def test_of_uncommitted_changes_there_is_a_word(run: Path) -> None:
    tags = {"mlflow.source.git.commit": "abc", "nnlab.git_dirty": "true"}
    edit_journal(run, lambda line: {**line, "tags": tags} if line["type"] == "run" else line)
    assert past.of_directory(run).commit == "abc with the changes in uncommitted.diff"
    tags["nnlab.git_dirty"] = "false"
    edit_journal(run, lambda line: {**line, "tags": tags} if line["type"] == "run" else line)
    assert past.of_directory(run).commit == "abc"
    assert json.loads((run / "environment.json").read_text())["code_version"]
