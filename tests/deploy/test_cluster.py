"""A sweep on a real Dask cluster: three workers with directories of their own, and one of them is killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.dask_cluster import DaskCluster
from benchmarks.faults import mirrored
from benchmarks.team_server import TeamServer

pytestmark = pytest.mark.services

_SECONDS = 240
_EPOCHS = 400
_SWEEP = ["dataset=moons", "seed=range(3)", "activation=tanh,relu,sigmoid", f"training.epochs={_EPOCHS}"]
_SWEEP += ["training.batch_size=null", "checkpoint.every=100", "schedule._target_=gated.constant"]
_GATED = """
import os
import time


def constant(total, *, gate: str = ""):
    def schedule(step):
        deadline = time.monotonic() + 200
        while gate and step == 150 and not os.path.exists(gate) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.005 if gate else 0)
        return 1.0

    return schedule
"""


@pytest.fixture
def gate(environment: dict[str, str], tmp_path: Path) -> Path:
    """A file that runs wait for in epoch 151, so that they are under way as long as the test wants, on any machine."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "gated.py").write_text(_GATED)
    environment["PYTHONPATH"] = str(folder)
    return folder / "open"


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str], gate: Path) -> Iterator[DaskCluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    started = DaskCluster(folder, environment)
    started.start(3)
    yield started
    started.stop()


def _nnlab(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nnlab", *arguments]


def _values(directory: Path) -> dict[tuple[str, int], float]:
    """Return the metrics of a journal, without the clock's."""
    return {
        (name, event["step"]): float(value)
        for event in mirrored.lines(directory)
        for name, value in event.get("metrics", {}).items()
        if not name.startswith("time/")
    }


def _arrays(directory: Path) -> dict[str, bytes]:
    folder = directory / "checkpoints" / f"epoch-{_EPOCHS:06d}"
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


def _sent(server: TeamServer) -> dict[str, int]:
    """Return run id -> points that the store has of a run that is under way."""
    query = """select tags.value, count(*) from runs join tags using (run_uuid) join metrics using (run_uuid)
        where tags.key = 'nnlab.run_id' and runs.status = 'RUNNING' group by tags.value"""
    with server.connect() as connection:
        return dict(connection.execute(query).fetchall())


def _worker_of(cluster: DaskCluster, run_ids: set[str]) -> int | None:
    for number in range(3):
        for directory in mirrored.journals(cluster.place(number) / "outputs"):
            events = mirrored.lines(directory)
            if events and events[0]["run_id"] in run_ids and events[-1]["type"] != "status":
                return number
    return None


def test_a_killed_workers_stack_goes_elsewhere_and_ends_bit_identical(
    team_server: TeamServer, environment: dict[str, str], cluster: DaskCluster, gate: Path, tmp_path: Path
) -> None:
    order = [f"hydra.launcher.scheduler={cluster.address}", "hydra.launcher.backend=dask", "hydra.launcher.max_stack=3"]
    order += [f"+schedule.gate={gate}"]
    with (tmp_path / "shown.log").open("wb") as shown:
        sweep = subprocess.Popen(
            _nnlab("train", "-m", *_SWEEP, *order), cwd=tmp_path, env=environment, stdout=shown, stderr=shown
        )
    deadline = time.monotonic() + _SECONDS
    victim = None
    while victim is None:
        assert time.monotonic() < deadline
        assert sweep.poll() is None, (tmp_path / "shown.log").read_text()
        victim = _worker_of(cluster, {run_id for run_id, points in _sent(team_server).items() if points > 300})
        time.sleep(0.1)
    cluster.kill(victim)
    gate.touch()
    begun = {
        mirrored.lines(directory)[0]["run_id"]: max(step for _, step in _values(directory))
        for directory in mirrored.journals(cluster.place(victim) / "outputs")
    }
    assert sweep.wait(_SECONDS) == 0, (tmp_path / "shown.log").read_text()

    (directory,) = (tmp_path / "outputs" / "sweeps").iterdir()
    runs = [directory / str(number) for number in range(9)]
    alone = {**environment, "NNLAB_OUTPUTS": str(tmp_path / "alone")}
    subprocess.run(
        _nnlab("train", "-m", *_SWEEP, "tracking=none", "hydra.launcher.backend=sequential"),
        check=True,
        env=alone,
        capture_output=True,
    )
    (undisturbed,) = (tmp_path / "alone" / "sweeps").iterdir()
    for run in runs:
        assert _values(run) == _values(undisturbed / run.name)
        assert _arrays(run) == _arrays(undisturbed / run.name) != {}

    again = [run for run in runs if mirrored.lines(run)[0]["run_id"] in begun]
    assert again
    others = [directory, *(run for run in runs if run not in again)]
    lacking = team_server.problems(others)
    assert [each for each in lacking if not each.endswith("journals")] == []  # it counts those that follow as well
    points_of_two = 0
    with team_server.connect() as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (10,)
        for run in again:
            events = mirrored.lines(run)
            own = {
                (name, event["step"], event["timestamp"])
                for event in events
                for name in event.get("metrics", {})
                if not name.startswith("time/")
            }
            query = """select metrics.key, step, timestamp, metrics.value from metrics join tags using (run_uuid)
                where tags.key = 'nnlab.run_id' and tags.value = %s"""
            rows = connection.execute(query, (events[0]["run_id"],)).fetchall()
            assert len({row[:2] for row in rows}) == len(rows)  # no step twice
            found = {(name, step): value for name, step, _, value in rows if not name.startswith("time/")}
            assert found == _values(run)
            points_of_two += sum((name, step, at) not in own for name, step, at, _ in rows if name[:5] != "time/")
        statuses = connection.execute("select distinct status from runs").fetchall()
        parents = connection.execute("select count(*) from tags where key = 'mlflow.parentRunId'").fetchone()
    assert points_of_two > 300  # what the killed worker had sent was kept
    assert statuses == [("FINISHED",)]
    assert parents == (9,)


def test_workers_without_a_way_out_get_the_data_sent(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    closed = {**environment, "NNLAB_DATA_DIR": str(folder / "data"), "PATH": "/nowhere"}
    cluster = DaskCluster(folder, closed)
    cluster.start(1)
    table = tmp_path / "table.csv"
    rows = [f"{n % 7},{n % 5},{'ab'[n % 2]}" for n in range(60)]
    table.write_text("\n".join(["x,y,kind", *rows]) + "\n")
    try:
        trained = subprocess.run(
            [
                *_nnlab("train", "-m", "dataset=csv", "dataset.path=table.csv", "dataset.target=kind", "seed=0,1"),
                *["training.epochs=5", "tracking=none", "hydra.launcher.backend=dask"],
                f"hydra.launcher.scheduler={cluster.address}",
            ],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert trained.returncode == 0, trained.stdout + trained.stderr
        table.write_text(table.read_text().replace("b", "c"))
        (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
        hashes = {mirrored.lines(sweep / number)[0]["dataset"]["hash"] for number in "01"}
        assert hashes == {json.loads((sweep / "sweep.json").read_text())["jobs"][0]["data_hash"]}
        assert (sweep / "0" / "checkpoints").is_dir()
        (kept,) = (folder / "data" / "sent").glob("*/table.csv")
        assert kept.read_bytes().count(b"b") == 30
    finally:
        cluster.stop()


def test_an_interrupted_sweep_is_gone_on_with(
    environment: dict[str, str], cluster: DaskCluster, gate: Path, tmp_path: Path
) -> None:
    order = [*_SWEEP, f"+schedule.gate={gate}", "tracking=none", "hydra.launcher.backend=dask"]
    order += [f"hydra.launcher.scheduler={cluster.address}", "hydra.launcher.max_stack=3"]
    with (tmp_path / "shown.log").open("wb") as shown:
        sweep = subprocess.Popen(_nnlab("train", "-m", *order), cwd=tmp_path, env=environment, stdout=shown)
    deadline = time.monotonic() + _SECONDS
    while not all(mirrored.journals(cluster.place(number) / "outputs") for number in range(3)):
        assert sweep.poll() is None, (tmp_path / "shown.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sweep.terminate()
    gate.touch()
    assert sweep.wait(60) == 130
    (directory,) = (tmp_path / "outputs" / "sweeps").iterdir()
    statuses = [mirrored.lines(run)[-1]["status"] for run in sorted(mirrored.journals(tmp_path / "outputs"))]
    assert "KILLED" in statuses[1:]
    for number in range(3):
        assert [each for each in mirrored.journals(cluster.place(number) / "outputs") if _is_open(each)] == []

    resumed = subprocess.run(
        _nnlab("resume", "--trust", "gated.constant", str(directory)), env=environment, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    for number in range(9):
        events = mirrored.lines(directory / str(number))
        assert events[-1]["status"] == "FINISHED"
        steps = [event["step"] for event in events if "val/loss" in event.get("metrics", {})]
        assert steps == list(range(_EPOCHS + 1))


def _is_open(directory: Path) -> bool:
    return bool(mirrored.lines(directory)[-1]["type"] != "status")


def test_what_cannot_work_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    def said(*arguments: str, **changed: str) -> str:
        done = subprocess.run(
            _nnlab("train", "-m", "dataset=moons", "seed=0,1", *arguments),
            cwd=tmp_path,
            env={**environment, **changed},
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]

    dask = "hydra.launcher.backend=dask"
    nobody = "hydra.launcher.scheduler=tcp://127.0.0.1:9"
    assert "needs hydra.launcher.scheduler=tcp://HOST:PORT" in said(dask)
    assert "has no scheduler" in said(nobody)
    assert "can't be reached" in said(dask, nobody)
    own_store = {**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/own.db"}
    assert "set MLFLOW_TRACKING_URI to a tracking server" in said(
        dask, nobody, MLFLOW_TRACKING_URI=own_store["MLFLOW_TRACKING_URI"]
    )
    with_password = environment["MLFLOW_TRACKING_URI"].replace("://", "://ann:hidden@")
    line = said(dask, nobody, MLFLOW_TRACKING_URI=with_password)
    assert "must hold no password" in line
    assert "hidden" not in line
    assert os.environ.get("MLFLOW_TRACKING_URI") is None
