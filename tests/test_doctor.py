"""`nnlab doctor`: each thing that it can find wrong, set up for real; it changes nothing, and never breaks."""

import hashlib
import http.server
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nnlab import checkpoint, locks
from nnlab.doctor import disk, examination, stores, threads, versions
from nnlab.doctor.remark import Remark
from nnlab.journal import Journal

OLD = time.time() - 10_000


def look() -> tuple[list[Remark], str]:
    """Examine, and return the remarks and the troubles as text."""
    remarks = examination.examine()
    return remarks, "\n".join(f"{each.subject}: {each.text}; {each.remedy}" for each in remarks if not each.is_fine)


def troubles() -> str:
    return look()[1]


def run(outputs: Path, where: str = "runs/a", status: str | None = "FINISHED", **fields: Any) -> Path:
    """Write a run's journal; without a status it has died."""
    directory = outputs / where
    journal = Journal(directory)
    journal.write("run", **{"run_id": f"id-{where}", "name": where, "parent": None, "tracking": None, **fields})
    if status is None:
        journal.release()
    else:
        journal.close(status)  # type: ignore[arg-type]
    return directory


@pytest.fixture
def store(outputs: Path) -> Iterator[sqlite3.Connection]:
    """What MLflow's store has of what is looked at."""
    outputs.mkdir(exist_ok=True)
    _, heads = stores._revisions()
    with closing(sqlite3.connect(outputs / "mlflow.db")) as database:
        database.executescript(
            """CREATE TABLE alembic_version (version_num TEXT);
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT, lifecycle_stage TEXT);
            CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, experiment_id INTEGER, lifecycle_stage TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE metrics (key TEXT);"""
        )
        database.execute("INSERT INTO alembic_version VALUES (?)", tuple(heads))
        database.commit()
        yield database


def mirror(database: sqlite3.Connection, run_id: str, status: str = "FINISHED", location: str = "s3://bucket") -> None:
    database.execute("INSERT INTO experiments VALUES (1, 'wine', ?, 'active')", (location,))
    database.execute("INSERT INTO runs VALUES ('m1', 'tanh', ?, 1, 'active')", (status,))
    database.execute("INSERT INTO tags VALUES ('nnlab.run_id', ?, 'm1')", (run_id,))
    database.commit()


def snapshot(folder: Path) -> dict[str, tuple[bytes, float]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime) for path in files}


def test_all_is_well_before_the_first_run(outputs: Path) -> None:
    remarks, wrong = look()
    assert not wrong
    assert {"versions", "threads", "outputs", "data", "disk", "store", "runs"} <= {each.subject for each in remarks}
    assert not outputs.exists()


def test_it_says_one_line_each_and_ends_with_the_exit_code(outputs: Path) -> None:
    run(outputs, status=None)
    done = subprocess.run([sys.executable, "-m", "nnlab", "doctor"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok   |WRONG)  \w+ +\S", line) for line in lines[:-1])
    assert lines[-1] == "1 thing to mend"
    (line,) = (line for line in lines if line.startswith("WRONG"))
    assert line.endswith(f"run: nnlab resume {outputs / 'runs/a'}")


def test_it_doesnt_import_mlflow() -> None:
    script = "import sys; from nnlab.doctor.examination import examine; examine(); print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"


def test_it_changes_nothing(outputs: Path, store: sqlite3.Connection) -> None:
    run(outputs, "runs/a", None)
    run(outputs, "sweeps/b", None, jobs=2)
    mirror(store, "id-runs/a", "RUNNING")
    before = snapshot(outputs)
    assert troubles()
    assert snapshot(outputs) == before


def test_a_check_that_breaks_is_a_trouble_and_the_others_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> Iterator[Remark]:
        yield Remark("x", "before")
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(examination, "CHECKS", (("x", broken), ("versions", versions.python)))
    remarks, wrong = look()
    assert [each.subject for each in remarks] == ["x", "x", "versions"]
    assert "ZeroDivisionError: nobody thought of it" in wrong


def test_an_outputs_root_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "file"))
    assert "is a file: move it away" in troubles()
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "file/below"))
    assert f"{tmp_path / 'file'} is no folder; set NNLAB_OUTPUTS" in troubles()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_an_outputs_root_whose_name_is_no_text_or_no_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_OUTPUTS", os.fsdecode(bytes(tmp_path) + b"/\xff"))
    assert "a path that is no UTF-8 text can't be kept" in troubles()
    monkeypatch.setenv("NNLAB_OUTPUTS", "~nobody-of-that-name/x")
    assert "Could not determine home directory" in troubles()
    environment = {**os.environ, "NNLAB_OUTPUTS": str(tmp_path / "é"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "nnlab", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0
    assert f"{tmp_path}/\\xe9" in done.stdout


def test_places_that_cant_be_written(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert f"{outputs} can't be written to; set NNLAB_OUTPUTS" in troubles()
    monkeypatch.setenv("NNLAB_DATA_DIR", str(tmp_path / "not/there"))
    assert "is not there and can't be made; set NNLAB_DATA_DIR" in troubles()


def test_a_package_that_is_too_old_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=99", "no-such-package>=1", "x; extra == 'y'"])
    wrong = troubles()
    assert "nnlab needs numpy>=99; run: " in wrong
    assert "-m pip install 'numpy>=99'" in wrong
    assert "no-such-package is missing" in wrong


@pytest.mark.parametrize(("value", "said"), [("64000", "more than the"), ("many", "no number"), ("0", "no number")])
def test_silly_thread_variables(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert said in troubles()
    assert "unset OMP_NUM_THREADS" in troubles()
    monkeypatch.setenv("OMP_NUM_THREADS", "1,1")
    assert not troubles()


def test_a_container_with_less_time_than_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "cores", lambda: 8)
    assert "the time of 1.5 of its 8 cores, and BLAS counts the cores; set OMP_NUM_THREADS=1" in troubles()


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LEAST_BYTES", 10**18)
    assert "MB are free for outputs" in troubles()
    monkeypatch.setattr(disk, "LEAST_BYTES", 0)
    monkeypatch.setattr(disk, "LEAST_FILES", 10**18)
    monkeypatch.setattr(disk, "_free_files", lambda _: 5)
    assert "only 5 more files fit" in troubles()


@pytest.mark.parametrize("uri", ["ftp://ada:hidden@x", "http://ada:hidden@127.0.0.1:1", "/a/folder"])
def test_stores_that_are_none_or_dont_answer(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    wrong = troubles()
    assert wrong.startswith("store: ")
    assert "\n" not in wrong
    assert "hidden" not in "".join(str(each) for each in look()[0])


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(200, "1.30.0", "is MLflow 1.30.0"), (401, "no", "refuses us (401)"), (200, "<html>", "not as an MLflow server")],
)
def test_servers_that_answer_otherwise(status: int, body: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert said in troubles()
        server.shutdown()


def test_mlflow_s_own_store_is_fine_and_its_revision_the_one_read_from_its_files(outputs: Path) -> None:
    outputs.mkdir()
    make = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()"
    uri = f"sqlite:///{outputs / 'mlflow.db'}"
    subprocess.run([sys.executable, "-c", make, uri], check=True, capture_output=True, timeout=120)
    remarks, wrong = look()
    assert not wrong
    assert any("that of MLflow" in each.text for each in remarks)


def test_a_schema_that_is_older_or_newer(outputs: Path, store: sqlite3.Connection) -> None:
    known, heads = stores._revisions()
    store.execute("UPDATE alembic_version SET version_num = ?", (sorted(known - heads)[0],))
    store.commit()
    assert f"-m mlflow db upgrade sqlite:///{outputs / 'mlflow.db'}" in troubles()
    store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    store.commit()
    assert "schema of a newer MLflow" in troubles()


def test_damaged_stores(outputs: Path, store: sqlite3.Connection) -> None:
    store.executemany("INSERT INTO metrics VALUES (?)", [("x" * 1000,)] * 100)
    store.commit()
    store.close()
    file = outputs / "mlflow.db"
    whole = file.read_bytes()
    for content in (
        b"no database at all" * 100,
        whole[: len(whole) // 2],
        whole[:20_000] + b"\xff" * 8192 + whole[28_192:],
    ):
        file.write_bytes(content)
        wrong = troubles()
        assert "damaged" in wrong
        assert f"mv {file} {file}.damaged && nnlab sync" in wrong
        assert "\n" not in wrong  # it is said once
    file.write_bytes(b"")
    assert "is no MLflow store" in troubles()


def test_a_store_that_is_locked(outputs: Path, store: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_LOCK_SECONDS", 0.01)
    store.execute("BEGIN EXCLUSIVE")
    assert "is locked by another process" in troubles()


def test_a_writer_that_was_killed(outputs: Path, store: sqlite3.Connection) -> None:
    script = (
        "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('PRAGMA cache_size = 1');"
        "d.executemany('INSERT INTO metrics VALUES (?)', [('x' * 1000,)] * 2000); os.kill(os.getpid(), 9)"
    )
    store.close()
    subprocess.run([sys.executable, "-c", script, str(outputs / "mlflow.db")], check=False, timeout=60)
    assert (outputs / "mlflow.db-journal").stat().st_size
    wrong = troubles()
    assert "a process died while it wrote" in wrong
    assert "run: nnlab sync" in wrong


def test_outputs_that_were_moved(outputs: Path, store: sqlite3.Connection, tmp_path: Path) -> None:
    run(outputs)
    (outputs / "artifacts/nnlab-wine").mkdir(parents=True)
    old = tmp_path / "old place/artifacts/nnlab-wine"
    mirror(store, "id-runs/a", location=old.as_uri())
    wrong = troubles()
    command = wrong.partition("run: ")[2].splitlines()[0]
    assert "the outputs were moved" in wrong
    subprocess.run(["sh", "-c", command], check=True)
    assert not troubles()
    old.unlink()
    (outputs / "artifacts/nnlab-wine").rmdir()
    assert "the artifacts of 1 experiment are gone: wine" in troubles()


def test_runs_and_sweeps_that_died(outputs: Path) -> None:
    run(outputs, "sweeps/s", None, jobs=2)
    run(outputs, "sweeps/s/0", None, parent="id-sweeps/s")
    run(outputs, "runs/a", None)
    run(outputs, "runs/b", None)
    wrong = troubles()
    assert f"runs: 1 sweep died without being closed: {outputs / 'sweeps/s'}; run: nnlab resume" in wrong
    assert f"runs: 2 runs died without being closed: {outputs / 'runs/a'}, {outputs / 'runs/b'}" in wrong


def test_a_run_that_trains_is_no_trouble(outputs: Path) -> None:
    journal = Journal(outputs / "runs/a")
    journal.write("run", run_id="r", name="x", parent=None, tracking=None)
    remarks, wrong = look()
    assert not wrong
    assert "1 run, 1 of them training" in [each.text for each in remarks]
    journal.close("FINISHED")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"type": "ru', "holds no whole line"),
        (b"\x00\xff garbage\n", "is damaged: its first line is no event of ours"),
        (b"[1]\n", "is damaged: its first line is no event of ours"),
        (b'{"type": "run", "timestamp": 1, "run_id": [1]}\n', "doesn't begin with a run"),
        (b'{"type": "params", "timestamp": 1, "params": {}}\n', "doesn't begin with a run"),
    ],
)
def test_journals_that_are_damaged(content: bytes, said: str, outputs: Path) -> None:
    (outputs / "runs/a").mkdir(parents=True)
    (outputs / "runs/a/journal.jsonl").write_bytes(content)
    assert said in troubles()


@pytest.mark.parametrize("tail", [b'{"type": "met', b"\0" * 9, b"\0\0\n", b"\xff\n\xff\n"])
def test_a_torn_tail_is_no_damage_and_is_named(tail: bytes, outputs: Path) -> None:
    for where, status in (("runs/a", "FINISHED"), ("runs/b", None)):
        with (run(outputs, where, status) / "journal.jsonl").open("ab") as file:
            file.write(tail)
    remarks, wrong = look()
    named = [each.text for each in remarks if "a torn line, left out" in each.text]
    assert len(named) == 2
    assert f"the last {len(tail)} bytes of {outputs / 'runs/a'}" in named[0]
    assert wrong.startswith("runs: 1 run died without being closed")
    assert wrong.endswith(f"run: nnlab resume {outputs / 'runs/b'}")


def test_a_last_line_that_is_long_is_no_damage(outputs: Path) -> None:
    journal = Journal(outputs / "runs/a")
    journal.write("run", run_id="r", name="x", parent=None, tracking=None)
    journal.close("FAILED", "x" * 100_000)
    assert not troubles()


def test_a_journal_that_may_not_be_read(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run(outputs) / "journal.jsonl"

    def refused(_: object) -> bool:  # root may read anything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(locks, "is_locked", refused)
    assert f"{path} can't be read: Permission denied" in troubles()


def test_runs_that_are_not_mirrored(outputs: Path) -> None:
    run(outputs, "runs/a", tracking={"max_points": 320})
    assert f"1 run is not in MLflow: {outputs / 'runs/a'}; run: nnlab sync" in troubles()


def test_runs_that_only_the_store_has_or_leaves_open(outputs: Path, store: sqlite3.Connection) -> None:
    run(outputs)
    mirror(store, "id-runs/a", "RUNNING")
    assert "1 run RUNNING in MLflow, and no process trains them: tanh; run: nnlab sync" in troubles()
    store.execute("UPDATE tags SET value = 'gone'")
    store.commit()
    assert "1 run in MLflow without a directory here: tanh" in troubles()


def test_checkpoints_without_their_seal_or_files(outputs: Path) -> None:
    import numpy as np

    folder = run(outputs) / "checkpoints/epoch-000001"
    checkpoint.write(folder, {"0.weight": np.zeros((2, 2))}, {"epoch": 1})
    assert not troubles()
    (folder / "0.weight.npy").unlink()
    assert "0.weight.npy is missing" in troubles()
    (folder / "manifest.json").write_text("{}")
    assert "manifest.json is damaged" in troubles()
    seal = hashlib.sha256(b"[]").hexdigest()
    (folder / "manifest.json").write_text("[]")
    (folder / "manifest.sha256").write_text(seal)
    assert "checkpoint: " in troubles()


def test_leftovers_of_killed_processes(outputs: Path) -> None:
    folder = run(outputs)
    sweep = run(outputs, "sweeps/s", jobs=1)
    made = [outputs / ".mlflow.db.new", folder / "checkpoints/.epoch-000003.tmp/x.npy", sweep / ".progress-1.jsonl"]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert not troubles()  # a moment ago
    for path in (made[0], made[1].parent, made[2]):
        os.utime(path, (OLD, OLD))
    wrong = troubles()
    subprocess.run(["sh", "-c", wrong.partition("run: ")[2]], check=True)
    assert "3 leftovers of killed processes" in wrong
    assert not troubles()


def test_what_a_killed_import_leaves_and_one_at_work_has(outputs: Path) -> None:
    run(outputs)
    (outputs / ".import").mkdir()
    (outputs / ".import" / "lock").touch()
    os.utime(outputs / ".import", (OLD, OLD))
    fd = os.open(outputs / ".import" / "lock", os.O_RDWR)
    assert locks.try_lock(fd)
    assert not troubles()  # it may take its time
    os.close(fd)
    assert f"rm -r {outputs / '.import'}" in troubles()


def test_a_trainer_without_a_tracker(outputs: Path) -> None:
    journal = Journal(outputs / "runs/a")
    journal.write("run", run_id="r", name="x", parent=None, tracking={"max_points": 320})
    assert "1 run training, and no tracker at work" in troubles()
    journal.close("FINISHED")


def test_who_holds_the_tracker_s_lock(outputs: Path, store: sqlite3.Connection) -> None:
    from nnlab.tracking import follower

    path = follower.lock_path(outputs, f"sqlite:///{outputs / 'mlflow.db'}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    assert locks.try_lock(fd)
    said = [each.text for each in look()[0] if each.subject == "tracker"]
    os.close(fd)
    assert said
    if Path("/proc/locks").exists():
        assert said in ([f"a tracker is at work (pid {os.getpid()})"], ["a tracker is at work"])


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"\x00" * 50), lambda path: path.symlink_to("nowhere")]
)
def test_odd_files_are_no_traceback(spoil: Callable[[Path], object], outputs: Path) -> None:
    folder = run(outputs, tracking={"max_points": 320})
    for path in (folder / ".mlflow-00000000.json", outputs / ".tracker-x.lock", outputs / "elsewhere.txt"):
        spoil(path)
    (folder / "checkpoints").write_text(json.dumps({}))
    troubles()
