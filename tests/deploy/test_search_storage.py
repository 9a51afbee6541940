"""A search's study in PostgreSQL: gone on with by a second search, and its password nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.team_server import HOST, TeamServer

pytestmark = pytest.mark.services


def test_two_searches_share_a_study(team_server: TeamServer, environment: dict[str, str], tmp_path: Path) -> None:
    with team_server.connect() as connection:
        connection.autocommit = True
        connection.execute("create database study")
    password = team_server.database_password
    storage = f"postgresql://mlflow:{password}@{HOST}:{team_server.database_port}/study"
    order = [
        *[sys.executable, "-m", "nnlab", "train", "-m", "hydra/sweeper=optuna", "dataset=moons", "tracking=none"],
        *["optimizer.lr=tag(log,interval(0.01,1))", "training.epochs=4", "hydra.launcher.backend=sequential"],
        *["hydra.sweeper.n_trials=3", "hydra.sweeper.batch=3", "hydra.sweeper.study_name=shared"],
        f"hydra.sweeper.storage={storage}",
    ]
    for trials in (3, 6):
        searched = subprocess.run(order, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert searched.returncode == 0, searched.stdout + searched.stderr
        assert password not in searched.stdout + searched.stderr
        with team_server.connect("study") as connection:
            query = "select count(*), count(distinct number) from trials where state = 'COMPLETE'"
            assert connection.execute(query).fetchone() == (trials, trials)
    files = [file for file in (tmp_path / "outputs").rglob("*") if file.is_file()]
    assert files
    assert [file for file in files if password.encode() in file.read_bytes()] == []
