"""The index of runs: nothing but a cache of what journals say."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnlab import index, journal
from nnlab.errors import NnlabError
from nnlab.journal import Journal


def begin(directory: Path, number: int = 0) -> Journal:
    writer = Journal(directory)
    writer.write(
        "run", run_id=f"r{number}", name="n", experiment="e", parent=None, dataset={"name": "wine"}, tags={"seed": "0"}
    )
    writer.write("params", params={"activation": "relu", "architecture.hidden_sizes": [5, 5], "seed": number})
    writer.metrics(0, {"val/loss": 2.0, "train/loss": 1.0})
    writer.metrics(1, {"val/loss": float("nan")})
    writer.metrics(7, {"update/loss": 3.0})
    return writer


@pytest.fixture
def run(outputs: Path) -> Path:
    directory = outputs / "runs" / "a"
    begin(directory).close("FAILED", "it diverged")
    return directory


def cached(outputs: Path) -> dict[str, Any]:
    with sqlite3.connect(outputs / index.NAME) as connection:
        rows = connection.execute("SELECT directory, entry FROM runs").fetchall()
    connection.close()
    return {name: json.loads(text) for name, text in rows}


def change(outputs: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(outputs / index.NAME) as connection:
        connection.execute(statement, values)
    connection.close()


def test_an_entry_says_what_the_journal_says(run: Path) -> None:
    record = journal.read(run)
    for _ in range(2):  # from the journal, then from the index
        (entry,) = index.entries([run])
        assert entry.directory == run
        assert entry.run == record.run
        assert entry.params == record.params
        assert entry.metrics.keys() == record.metrics.keys() == {"val/loss", "train/loss"}
        assert entry.metrics["train/loss"] == 1
        assert entry.metrics["val/loss"] != entry.metrics["val/loss"]  # NaN
        assert (entry.status, entry.reason) == ("FAILED", "it diverged")
        assert (entry.started, entry.ended) == (record.run["timestamp"], record.ended)
        assert entry.tags == {"seed": "0"}


def test_a_journal_is_read_again_only_when_it_has_changed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.entries([run])
    reading = journal.read_events
    with monkeypatch.context() as patch:
        patch.setattr(journal, "read_events", lambda *_: pytest.fail("the index was not used"))
        index.entries([run])
    journal.annotate(run, {"nnlab.finding": "none"})
    read: list[Path] = []

    def noted(path: Path) -> Iterator[tuple[journal.Event, int]]:
        read.append(path)
        return reading(path)

    monkeypatch.setattr(journal, "read_events", noted)
    (entry,) = index.entries([run])
    assert entry.tags == {"seed": "0", "nnlab.finding": "none"}
    assert entry.status == "FAILED"
    assert read == [run / "journal.jsonl"]


def test_a_journal_of_the_same_size_and_another_time_is_read_again(run: Path) -> None:
    index.entries([run])
    path = run / "journal.jsonl"
    path.write_text(path.read_text().replace("relu", "tanh"))
    assert index.entries([run])[0].params["activation"] == "tanh"


def test_a_run_is_running_while_its_journal_is_locked_and_killed_afterwards(outputs: Path) -> None:
    directory = outputs / "runs" / "a"
    writer = begin(directory)
    for _ in range(2):
        assert index.entries([directory])[0].status == "RUNNING"
    writer.release()
    for _ in range(2):
        (entry,) = index.entries([directory])
        assert (entry.status, entry.reason) == (journal.read(directory).status, journal.read(directory).reason)
        assert entry.status == "KILLED"
    writer = Journal(directory)
    assert index.entries([directory])[0].status == "RUNNING"
    writer.close("FINISHED")
    assert index.entries([directory])[0].status == "FINISHED"


def test_a_closed_run_that_is_gone_on_with_is_running(run: Path) -> None:
    index.entries([run])
    writer = Journal(run)
    writer.metrics(2, {"val/loss": 0.5})
    (entry,) = index.entries([run])
    assert (entry.status, entry.metrics["val/loss"]) == ("RUNNING", 0.5)
    writer.close("FINISHED")


def test_order_and_repetitions_are_kept(outputs: Path) -> None:
    directories = [outputs / "runs" / name for name in ("b", "a", "c")]
    for number, directory in enumerate(directories):
        begin(directory, number).close("FINISHED")
    asked = [directories[at] for at in (2, 0, 1, 0)]
    for _ in range(2):
        assert [entry.run["run_id"] for entry in index.entries(asked)] == ["r2", "r0", "r1", "r0"]


def test_what_is_no_run_or_damaged_is_named(run: Path, outputs: Path) -> None:
    with pytest.raises(NnlabError, match="holds no run"):
        index.entries([run, outputs / "nothing"])
    with (run / "journal.jsonl").open("a") as file:
        file.write('{}\n{"type":"tags","timestamp":1,"tags":{}}\n')
    with pytest.raises(NnlabError, match="is damaged"):
        index.entries([run])


def test_what_is_damaged_spares_the_others(run: Path, outputs: Path) -> None:
    other = outputs / "runs" / "b"
    begin(other).close("FINISHED")
    (run / "journal.jsonl").write_text("nonsense\n")
    found, problems = index.readable([outputs / "nothing", other, run])
    assert [entry.directory for entry in found] == [other]
    assert ["holds no run" in str(problems[0]), "is damaged" in str(problems[1]), len(problems)] == [True, True, 2]
    assert list(cached(outputs)) == [str(other)]


@pytest.mark.parametrize(
    "line",
    [
        {"type": "params", "params": [1]},
        {"type": "metrics", "step": 0, "metrics": {"val/loss": "low"}},
        {"type": "metrics", "step": 0, "metrics": {"val/loss": [1]}},
        {"type": "metrics", "step": [], "metrics": {}},
        {"type": "run", "run_id": "r", "tags": 7},
        {"type": "status", "status": ["FINISHED"], "reason": None},
        {"type": "tags", "tags": None},
    ],
)
def test_what_no_journal_of_ours_holds_is_named(run: Path, line: dict[str, Any]) -> None:
    with (run / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"timestamp": 1, **line}) + "\n")
    with pytest.raises(NnlabError, match=r"journal.jsonl is damaged: "):
        index.entries([run])


def test_runs_that_are_gone_are_forgotten(run: Path, outputs: Path) -> None:
    index.entries([run])
    other = outputs / "runs" / "b"
    begin(other).close("FINISHED")
    shutil.rmtree(run)
    index.entries([other])
    assert list(cached(outputs)) == [str(other)]


def test_no_outputs_root_is_made_for_an_index(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "none"))
    assert index.entries([run])[0].status == "FAILED"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", [b"", b"no database at all " * 100, None])
def test_a_damaged_index_is_made_anew(run: Path, outputs: Path, damage: bytes | None) -> None:
    index.entries([run])
    path = outputs / index.NAME
    whole = path.read_bytes()
    path.write_bytes(damage if damage is not None else whole[:4096] + b"\xff" * (len(whole) - 4096))
    for _ in range(3):
        assert index.entries([run])[0].params["activation"] == "relu"
    assert list(cached(outputs)) == [str(run)]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", '{"run": {}}', '{"status": []}'])
def test_a_row_that_is_no_entry_is_not_believed(run: Path, outputs: Path, text: str) -> None:
    index.entries([run])
    change(outputs, "UPDATE runs SET entry = ?", text)
    assert index.entries([run])[0].params["activation"] == "relu"
    assert cached(outputs)[str(run)]["status"] == "FAILED"


def test_an_index_of_another_version_is_made_anew(run: Path, outputs: Path) -> None:
    index.entries([run])
    change(outputs, "DROP TABLE runs")
    change(outputs, "CREATE TABLE runs (something)")
    change(outputs, "PRAGMA user_version = 99")
    assert index.entries([run])[0].status == "FAILED"
    assert list(cached(outputs)) == [str(run)]


def test_an_index_that_cannot_be_opened_is_done_without(run: Path, outputs: Path) -> None:
    (outputs / index.NAME).mkdir()
    assert index.entries([run])[0].status == "FAILED"


def test_an_index_that_cannot_be_written_is_done_without(run: Path, outputs: Path) -> None:
    index.entries([run])
    journal.annotate(run, {"a": "b"})
    change(outputs, "CREATE TRIGGER no BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'read-only'); END")
    assert index.entries([run])[0].tags["a"] == "b"


def test_a_locked_index_is_done_without(run: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_WAIT_SECONDS", 0.05)
    index.entries([run])
    journal.annotate(run, {"a": "b"})
    other = sqlite3.connect(outputs / index.NAME)
    other.execute("BEGIN EXCLUSIVE")
    assert index.entries([run])[0].tags["a"] == "b"
    other.close()
    assert "a" not in cached(outputs)[str(run)]["tags"]


def test_many_readers_and_writers_at_once(outputs: Path) -> None:
    directories = [outputs / "runs" / str(number) for number in range(30)]
    for number, directory in enumerate(directories):
        begin(directory, number).close("FINISHED")
    seen: list[list[str]] = []

    def read() -> None:
        seen.extend([entry.run["run_id"] for entry in index.entries(directories)] for _ in range(3))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[f"r{number}" for number in range(30)]] * 18
    assert len(cached(outputs)) == 30
