import json
from pathlib import Path

import pytest

from nnlab.tracking import cursor, runs
from nnlab.tracking.cursor import Cursor

LINES = (
    b'{"type":"run","timestamp":1,"run_id":"r"}\n{"type":"status","timestamp":2,"status":"FINISHED","reason":null}\n'
)
FILE = ".mlflow-key.json"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_bytes(LINES)
    return tmp_path / "run"


def place(directory: Path, **fields: object) -> None:
    (directory / FILE).write_text(
        json.dumps({"offset": len(LINES), "mlflow_run_id": "m", "status": "FINISHED"} | fields)
    )


def test_what_is_written_is_read_and_nothing_is_left_beside_it(directory: Path) -> None:
    written = Cursor(LINES.index(b"\n") + 1, "m", "RUNNING")
    cursor.write(directory, "key", written)
    assert cursor.read(directory, "key") == written
    assert cursor.read(directory, "another store") == Cursor()
    assert {path.name for path in directory.iterdir()} == {"journal.jsonl", FILE}


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"7", b'{"offset":0}', b'{"ofset":1}', b"\xff\x00"])
def test_a_cursor_that_cannot_be_read_is_a_fresh_one(directory: Path, content: bytes) -> None:
    (directory / FILE).write_bytes(content)
    assert cursor.read(directory, "key") == Cursor()


@pytest.mark.parametrize(
    "fields",
    [
        {"offset": 5},  # in the middle of a line
        {"offset": len(LINES) + 1},  # of a journal that was longer
        {"offset": 10**12},
        {"offset": -1},
        {"offset": "61"},
        {"offset": None},
        {"mlflow_run_id": None},
        {"mlflow_run_id": 7},
    ],
)
def test_a_cursor_that_does_not_fit_the_journal_is_a_fresh_one(directory: Path, fields: dict[str, object]) -> None:
    place(directory, **fields)
    assert cursor.read(directory, "key") == Cursor()


@pytest.mark.parametrize(
    ("fields", "is_mirrored"),
    [({}, True), ({"status": "RUNNING"}, False), ({"offset": LINES.index(b"\n") + 1}, False), ({"offset": 3}, False)],
)
def test_mirrored_is_what_the_store_has_to_the_last_line(
    directory: Path, fields: dict[str, object], is_mirrored: bool
) -> None:
    place(directory, **fields)
    assert cursor.is_mirrored(directory, "key") is is_mirrored
    assert cursor.settled(directory, "key")[0] is is_mirrored


def test_a_torn_tail_is_nothing_to_wait_for(directory: Path) -> None:
    place(directory)
    (directory / "journal.jsonl").write_bytes(LINES + b'{"type":"metr')
    assert cursor.is_mirrored(directory, "key")


def test_a_run_that_was_given_up_is_settled_and_not_mirrored(directory: Path) -> None:
    cursor.give_up(directory, "key", "the experiment was deleted")
    assert cursor.settled(directory, "key")[0]
    assert not cursor.is_mirrored(directory, "key")


def journal(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "journal.jsonl").touch()
    return directory


def test_runs_are_found_with_sweeps_before_their_children_and_numbers_in_order(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    elsewhere = journal(tmp_path / "elsewhere")
    expected = [journal(outputs / "runs" / "b"), journal(outputs / "runs" / "c")]
    expected += [journal(outputs / "sweeps" / "a"), journal(outputs / "sweeps" / "d")]
    expected += [journal(outputs / "sweeps" / where) for where in ("a/named", "a/2", "a/10", "d/0")]
    (outputs / "runs" / "no run").mkdir()
    runs.note(outputs, elsewhere)
    runs.note(outputs, elsewhere)
    runs.note(outputs, tmp_path / "gone")
    assert runs.find(outputs) == [*expected, elsewhere]


@pytest.mark.parametrize("where", ["mine", "mine/one", "mine/of/two", "runs/a/b", "sweeps/a/b/c", "../x", "../../y/z"])
def test_wherever_a_run_is_put_it_is_found_once(tmp_path: Path, where: str) -> None:
    outputs = tmp_path / "deep" / "outputs"
    directory = journal((outputs / where).resolve())
    runs.note(outputs, directory)
    assert runs.find(outputs) == [directory]


@pytest.mark.parametrize("where", ["runs/a", "sweeps/a", "sweeps/a/0"])
def test_what_is_found_anyway_is_not_noted(tmp_path: Path, where: str) -> None:
    directory = journal(tmp_path / where)
    runs.note(tmp_path, directory)
    assert runs.find(tmp_path) == [directory]
    assert not (tmp_path / "elsewhere.txt").exists()
