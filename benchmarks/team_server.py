"""TeamServer: PostgreSQL and MLflow's tracking server on loopback, as the programs of `deploy/` start them."""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import requests

from benchmarks.faults import mirrored

DEPLOY = Path(__file__).parents[1] / "deploy"
HOST = "127.0.0.1"
USER = "ann"
_START_SECONDS, _CLOSING_SECONDS = 120.0, 20.0
_SECRETS = ("PGPASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
_COPIED = ("runs", "tags", "params", "metrics", "inputs")


class TeamServer:
    """A database and a server in a folder of their own, with the account ``USER``.

    Args:
        folder: an empty one.
        workers: processes of the server.
        environment: further variables of the server, such as ARTIFACTS.
    """

    def __init__(self, folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.workers = folder, workers
        self.artifacts = folder / "artifacts"
        self.password = secrets.token_hex(16)
        self._secrets = {name: secrets.token_hex(16) for name in _SECRETS}
        self.port, self.database_port = free_port(), free_port()
        self._environment = {
            **os.environ,
            **self._secrets,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PGPORT": str(self.database_port),
            "PORT": str(self.port),
            "ARTIFACTS": str(self.artifacts),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    @property
    def passwords(self) -> list[str]:
        """What must stand nowhere."""
        return [self.password, *self._secrets.values()]

    @property
    def database_password(self) -> str:
        """That of the database's user, ``mlflow``."""
        return self._secrets["PGPASSWORD"]

    @property
    def client_environment(self) -> dict[str, str]:
        """All that a user of it has to set."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }

    def start(self) -> None:
        """Start both, and make the account."""
        atexit.register(self.stop)
        self.start_database()
        self.start_server()
        admin = ("admin", self._secrets["MLFLOW_AUTH_ADMIN_PASSWORD"])
        account = {"username": USER, "password": self.password}
        made = requests.post(f"{self.uri}/api/2.0/mlflow/users/create", json=account, auth=admin, timeout=30)
        made.raise_for_status()

    def stop(self) -> None:
        """End both; harmless if they are gone."""
        atexit.unregister(self.stop)
        self.end_server(signal.SIGTERM)
        if (self.folder / "database" / "postmaster.pid").exists():
            self.stop_database("fast")

    def start_database(self) -> None:
        """Start PostgreSQL, as deploy/postgresql does."""
        self._deploy("postgresql", "start", str(self.folder / "database"))

    def stop_database(self, mode: str) -> None:
        """Stop PostgreSQL: ``immediate`` is a power cut as far as it can see."""
        self._deploy("postgresql", "stop", str(self.folder / "database"), mode)

    def _deploy(self, program: str, *arguments: str) -> None:
        # PostgreSQL is another user than root, and each pytest that starts closes the folder that all of them share.
        for parent in [self.folder, *self.folder.parents]:
            if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        with (self.folder / f"{program}.log").open("ab") as log:
            order = [str(DEPLOY / program), *arguments]
            subprocess.run(order, check=True, env=self._environment, stdout=log, stderr=log, timeout=120)

    def start_server(self) -> None:
        """Start the server, as deploy/server does, and wait until it answers.

        Raises:
            RuntimeError: it doesn't.
        """
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(DEPLOY / "server"), "--workers", str(self.workers)],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server does not answer: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def end_server(self, number: signal.Signals) -> None:
        """Send a signal to all of the server's processes, and wait until they are gone."""
        if self._process is None:
            return
        os.killpg(self._process.pid, number)
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:  # it waits for clients that don't go
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def connect(self, database: str = "mlflow") -> psycopg.Connection:
        """Return a connection to a database."""
        return psycopg.connect(
            host=HOST, port=self.database_port, user="mlflow", password=self._secrets["PGPASSWORD"], dbname=database
        )

    def points(self) -> int:
        """Return how many values of metrics the store has by now."""
        with self.connect() as connection:
            return int(connection.execute("select count(*) from metrics").fetchone()[0])  # type: ignore[index]

    def size(self) -> int:
        """Return the bytes of the store: database and artifacts."""
        with self.connect() as connection:
            query = "select sum(pg_database_size(datname)) from pg_database where datname like 'mlflow%'"
            database = int(connection.execute(query).fetchone()[0])  # type: ignore[index]
        return database + sum(path.stat().st_size for path in self.artifacts.rglob("*") if path.is_file())

    def calls(self) -> int:
        """Return how many requests the server has answered so far, by its log."""
        return (self.folder / "server.log").read_text().count(' HTTP/1.1"')

    def pids(self) -> dict[str, int]:
        """Return the processes at the top of the server and of the database."""
        assert self._process is not None  # noqa: S101 - it is started
        postmaster = (self.folder / "database" / "postmaster.pid").read_text().split()[0]
        return {"server": self._process.pid, "database": int(postmaster)}

    def problems(self, directories: Sequence[Path], artifacts: Path | None = None) -> list[str]:
        """Return what the store lacks of some runs, and what else it has.

        Args:
            directories: of the runs.
            artifacts: the folder with what is in the artifact store; by default the server's.
        """
        copy = self.folder / "copy.db"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(copy)) as target, self.connect() as source:
            for table in _COPIED:  # without MLflow's constraints, so that a double would be seen
                with source.cursor() as rows:
                    rows.execute(f"select * from {table}")  # noqa: S608
                    assert rows.description is not None  # noqa: S101 - of a query
                    names = [column.name for column in rows.description]
                    target.execute(f"create table {table} ({', '.join(names)})")
                    marks = ", ".join("?" for _ in names)
                    target.executemany(f"insert into {table} values ({marks})", rows)  # noqa: S608
            place = f"{(artifacts or self.artifacts).as_uri()}/"
            target.execute("update runs set artifact_uri = replace(artifact_uri, 'mlflow-artifacts:/', ?)", (place,))
            (doubled,) = target.execute("select count(*) - count(distinct destination_id) from inputs").fetchone()
            target.commit()
        return [*mirrored.problems(copy, directories), *([f"{doubled} doubled inputs"] if doubled else [])]


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
