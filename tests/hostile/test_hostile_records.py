"""What somebody else has put into an outputs root or a data directory: nothing is waited for, copied or believed."""

import os
from pathlib import Path

import numpy as np
import pytest

from nnlab import journal_lines
from nnlab.data import cache
from nnlab.data.csv import MAX_COLUMNS, csv
from nnlab.errors import NnlabError
from nnlab.history_csv import write_history
from nnlab.journal import Journal, Record
from nnlab.nn.activations import Tanh
from nnlab.nn.architectures import MOST_HIDDEN, mlp
from nnlab.tracking import runs
from nnlab.tracking.artifacts import _files
from nnlab.tracking.thinning import Thinning


def test_no_file_from_outside_of_a_run_is_an_artifact(tmp_path: Path) -> None:
    run, secrets = tmp_path / "run", tmp_path / "secrets"
    for folder in (run / "plots", run / "checkpoints" / "epoch-000000", secrets):
        folder.mkdir(parents=True)
    (secrets / "key").write_text("secret")
    (run / "plots" / "own.png").write_text("own")
    (run / "plots" / "evil.png").symlink_to(secrets / "key")
    (run / "checkpoints" / "epoch-000000" / "0.weight.npy").symlink_to(secrets / "key")
    (run / "config.yaml").symlink_to(secrets / "key")
    (run / "more").symlink_to(secrets)
    os.mkfifo(run / "plots" / "pipe.png")
    places = ["plots", "checkpoints/epoch-000000", "config.yaml", "more", "..", "../secrets/key", str(secrets), "a\0b"]
    assert [*_files(Record(run, artifacts=places))] == ["plots/own.png"]


def test_a_journal_that_is_a_pipe_is_no_run(tmp_path: Path) -> None:
    for name in ("good", "pipe"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    journal = Journal(tmp_path / "runs" / "good")
    journal.write("run", run_id="x")
    journal.close("FINISHED")
    os.mkfifo(tmp_path / "runs" / "pipe" / "journal.jsonl")
    assert runs.find(tmp_path) == [tmp_path / "runs" / "good"]


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(NnlabError, match="is damaged"):
        next(journal_lines.read_events(path))
    with pytest.raises(NnlabError, match="is damaged"):
        journal_lines.last(path)


def test_history_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "history.csv").symlink_to(tmp_path / "mine")
    write_history(tmp_path / "history.csv", {0: {"val/loss": 1.0}})
    assert (tmp_path / "mine").read_text() == "mine"
    assert "val/loss" in (tmp_path / "history.csv").read_text()


@pytest.mark.parametrize("epochs", [10**12, 10**30])
def test_the_epochs_of_an_endless_run_are_not_listed(epochs: int) -> None:
    thinning = Thinning.of(epochs, 7, 320)
    assert thinning.trained is not None
    assert thinning.evaluated is not None
    assert len(thinning.trained) == len(thinning.evaluated) == 319
    assert {1} < thinning.trained
    assert {0} < thinning.evaluated


def test_a_shared_data_directory_is_neither_waited_for_nor_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NNLAB_DATA_DIR", str(tmp_path))
    made = np.ones((3, 2)), np.zeros(3, np.int64)
    for name in ("x.npy", "sha256.json"):
        cache.prepared("own", lambda: made)
        (tmp_path / "own" / name).unlink()
        os.mkfifo(tmp_path / "own" / name)
        assert cache.prepared("own", lambda: made) is made
        (tmp_path / "own" / name).unlink(missing_ok=True)
    (tmp_path / "own" / "sha256.json").write_bytes(b"[" * 1_000_000)
    assert cache.prepared("own", lambda: made) is made


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a,kind\n" + b"1" * 3_000_000 + b",x\n", "a line of more than"),
        (b"a,kind\n1,x\0\n", "null bytes"),
        (b",".join(b"c%d" % n for n in range(MAX_COLUMNS + 1)) + b"\n", "columns"),
    ],
    ids=["long line", "null bytes", "many columns"],
)
def test_tables_that_pandas_would_take_minutes_for(content: bytes, part: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(NnlabError, match=part):
        csv(path=str(tmp_path / "t.csv"), target="kind")


def test_long_tables_of_short_lines_are_read(tmp_path: Path) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        (tmp_path / "t.csv").write_bytes(b"a,kind" + end + (b"1.25,x" + end + b"2.5,y" + end) * 120_000)
        assert len(csv(path=str(tmp_path / "t.csv"), target="kind").y) == 240_000


def test_a_million_layers_are_not_built() -> None:
    with pytest.raises(ValueError, match="1,000 hidden layers"):
        mlp(1, 1, Tanh, hidden_sizes=[1] * (MOST_HIDDEN + 1))
