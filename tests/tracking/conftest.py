"""Hand-written journals, and MLflow stores as copies of one template: making the schema takes three seconds."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nnlab import locks

START = 1_700_000_000_000
"""The timestamp of a hand-written journal's first line; each line is 1,000 ms later than the one before."""

_MAKE_STORE = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()"
_RUN = {
    "type": "run",
    "run_id": "r0",
    "name": "wine-mlp-tanh-s0",
    "experiment": "nnlab-wine",
    "parent": None,
    "user": "ada",
    "tracking": {"enabled": True, "max_points": 320},
    "tags": {"seed": "0", "nnlab.config_hash": "c" * 64},
    "epochs": 2,
    "eval_every": 1,
    "dataset": {
        "name": "wine",
        "hash": "d" * 64,
        "source": "UCI wine",
        "samples": 178,
        "features": 13,
        "classes": 3,
        "parts": {"train": 107, "val": 36, "test": 35},
    },
}


class Lab:
    """An outputs root with runs written by hand and a store that is read back as plain sqlite."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self.database = outputs, outputs / "mlflow.db"

    def journal(self, where: str, *lines: Mapping[str, object], **run: object) -> Path:
        """Write a journal: the line ``run`` with those fields changed, then the lines."""
        directory = self.outputs / where
        directory.mkdir(parents=True)
        self.append(directory, {**_RUN, **run}, *lines)
        return directory

    def append(self, directory: Path, *lines: Mapping[str, object]) -> None:
        path = directory / "journal.jsonl"
        written = len(path.read_bytes().splitlines()) if path.exists() else 0
        with path.open("a") as file:
            for number, each in enumerate(lines, written):
                file.write(json.dumps({"timestamp": START + 1000 * number, **each}) + "\n")

    def sql(self, query: str, *values: object) -> list[Any]:
        """Return the rows; those of one column as a list of its values."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            rows = connection.execute(query, values).fetchall()
        connection.close()
        return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows

    def rows(self) -> dict[str, list[Any]]:
        """Return every row of every table, sorted."""
        tables = self.sql("select name from sqlite_master where type = 'table'")
        return {table: sorted(self.sql(f"select * from {table}"), key=repr) for table in tables}  # noqa: S608

    def points(self, key: str) -> list[tuple[int, float, int]]:
        """Return a metric's (step, value, timestamp)."""
        return self.sql("select step, value, timestamp from metrics where key = ? order by step, timestamp", key)

    @staticmethod
    def wait_for(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    def tags(self) -> dict[str, str]:
        return dict(self.sql("select key, value from tags"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store, one for all of pytest-xdist's workers."""
    root = tmp_path_factory.getbasetemp()
    path = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "template.db"
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    assert locks.lock(fd, seconds=120)
    if not path.exists():
        made = path.with_suffix(".new")
        subprocess.run([sys.executable, "-c", _MAKE_STORE, f"sqlite:///{made}"], check=True, capture_output=True)
        made.rename(path)
    os.close(fd)
    return path


@pytest.fixture
def lab(outputs: Path, template: Path) -> Lab:
    outputs.mkdir()
    shutil.copy(template, outputs / "mlflow.db")
    return Lab(outputs)


@pytest.fixture
def mirror(lab: Lab) -> Iterator[Callable[..., bool]]:
    """Mirror a run with a client of its own, as a new tracker would."""
    with warnings.catch_warnings():
        # MLflow's models use what SQLAlchemy 2.1 deprecates, which it says once, as they are imported.
        warnings.simplefilter("ignore")
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401
    from nnlab.tracking import store
    from nnlab.tracking.mirror import Mirror

    def run(directory: Path, *, verify: bool = True) -> bool:
        return Mirror(lab.outputs, store.uri(lab.outputs)).run(directory, verify=verify)

    yield run
    _forget_engines()


def _forget_engines() -> None:
    """Close MLflow's connections, which it keeps for each database as long as the process lives."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while SqlAlchemyStore._engine_map:
            SqlAlchemyStore._engine_map.popitem()[1].dispose()


class Processes:
    """``nnlab`` in processes of its own, as from a shell; none of them outlives the test."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nnlab", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> str:
        """Run to the end, which must be a good one, and return what was printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        return output

    def journal(self, lines: int, name: str = "*") -> Path:
        """Wait until a run has so many lines, and return its directory."""

        def found() -> list[Path]:
            paths = self.lab.outputs.glob(f"runs/{name}/journal.jsonl")
            return [path.parent for path in paths if len(path.read_bytes().splitlines()) >= lines]

        self.lab.wait_for(found)
        return found()[0]

    def is_tracker_at_work(self) -> bool:
        return any(locks.is_locked(path) for path in self.lab.outputs.glob(".tracker-*.lock"))

    def end(self) -> None:
        """End all that were started, and the trackers that they started."""
        for process in self._started:
            process.kill()
            process.communicate()
        mine = f"NNLAB_OUTPUTS={self.lab.outputs}".encode()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # another's, or ended
                cmdline = environ.with_name("cmdline").read_bytes().split(b"\0")
                if mine in environ.read_bytes().split(b"\0") and b"--follow" in cmdline:
                    os.kill(int(environ.parent.name), signal.SIGKILL)
        self.lab.wait_for(lambda: not self.is_tracker_at_work())


@pytest.fixture
def nnlab(lab: Lab) -> Iterator[Processes]:
    processes = Processes(lab)
    yield processes
    processes.end()
