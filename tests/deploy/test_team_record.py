"""Two people, one server: sweeps from two directories while the server and its database are stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.faults import mirrored
from benchmarks.team_server import TeamServer

pytestmark = pytest.mark.services

_SEEDS, _EPOCHS = 8, 600
_SECONDS = 240


def _sweep(directory: Path, environment: dict[str, str], *overrides: str) -> subprocess.Popen[bytes]:
    directory.mkdir()
    with (directory / "shown.log").open("wb") as log:
        return subprocess.Popen(
            [
                *[sys.executable, "-m", "nnlab", "train", "-m", "dataset=moons", "hydra.launcher.n_jobs=1"],
                *[f"seed=range({_SEEDS})", f"training.epochs={_EPOCHS}", *overrides],
            ],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
        )


def _wait_for_points(server: TeamServer, more: int) -> None:
    deadline = time.monotonic() + _SECONDS
    enough = server.points() + more
    while server.points() < enough:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_all_rows_are_there_and_none_is_doubled(
    team_server: TeamServer, environment: dict[str, str], tmp_path: Path
) -> None:
    directories = [tmp_path / "ann", tmp_path / "ben"]
    sweeps = [
        _sweep(directories[0], environment, "activation=tanh"),
        _sweep(directories[1], environment, "activation=relu"),
    ]
    _wait_for_points(team_server, 3000)
    team_server.end_server(signal.SIGKILL)
    team_server.start_server()
    _wait_for_points(team_server, 3000)
    team_server.stop_database("immediate")
    time.sleep(1)
    team_server.start_database()
    for sweep in sweeps:
        assert sweep.wait(_SECONDS) == 0
    roots = [directory / "outputs" for directory in directories]
    for directory in directories:
        synced = subprocess.run(
            [sys.executable, "-m", "nnlab", "sync"], cwd=directory, env=environment, capture_output=True, text=True
        )
        assert f"{_SEEDS + 1} runs are mirrored" in synced.stdout

    assert team_server.problems([run for root in roots for run in mirrored.journals(root)]) == []
    recorded = b"".join(file.read_bytes() for root in roots for file in root.rglob("*") if file.is_file())
    recorded += b"".join(file.read_bytes() for file in team_server.artifacts.rglob("*") if file.is_file())
    recorded += (team_server.folder / "copy.db").read_bytes()
    assert not [secret for secret in team_server.passwords if secret.encode() in recorded]


def test_a_wrong_password_is_one_line_and_loses_nothing(
    team_server: TeamServer, environment: dict[str, str], tmp_path: Path
) -> None:
    order = [sys.executable, "-m", "nnlab", "train", "dataset=moons", "training.epochs=5"]
    wrong = {**environment, "MLFLOW_TRACKING_PASSWORD": "not-anns"}
    trained = subprocess.run(order, cwd=tmp_path, env=wrong, capture_output=True, text=True)
    said = [line for line in trained.stdout.splitlines() if "wants a login" in line]
    assert len(said) == 1
    assert "not-anns" not in trained.stdout + trained.stderr
    assert "Traceback" not in trained.stdout + trained.stderr

    again = [sys.executable, "-m", "nnlab", "sync"]
    synced = subprocess.run(again, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "1 run is mirrored" in synced.stdout
    with team_server.connect() as connection:
        (run,) = mirrored.journals(tmp_path / "outputs")
        identity = mirrored.lines(run)[0]["run_id"]
        (count,) = connection.execute("select count(*) from tags where value = %s", (identity,)).fetchone()  # type: ignore[misc]
    assert count == 1
