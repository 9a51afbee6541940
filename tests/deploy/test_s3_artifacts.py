"""Artifacts in an S3-style store: moto's server stands for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from benchmarks.faults import mirrored
from benchmarks.team_server import HOST, TeamServer

pytestmark = pytest.mark.services

_KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3-style store with a bucket."""
    for name, value in _KEYS.items():
        monkeypatch.setenv(name, value)
    store = ThreadedMotoServer(HOST, 0, verbose=False)
    store.start()
    endpoint = f"http://{HOST}:{store.get_host_and_port()[1]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="team")
    yield endpoint
    store.stop()


def test_artifacts_go_there_and_come_back(
    s3: str, shared_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"ARTIFACTS": "s3://team/nnlab", "MLFLOW_S3_ENDPOINT_URL": s3}
    server = TeamServer(tmp_path / "server", workers=1, environment=place)
    server.folder.mkdir()
    server.start()
    try:
        for name, value in server.client_environment.items():
            monkeypatch.setenv(name, value)
        nnlab = [sys.executable, "-m", "nnlab"]
        subprocess.run([*nnlab, "train", "dataset=moons", "training.epochs=5"], check=True, capture_output=True)
        bucket, got = boto3.resource("s3", endpoint_url=s3).Bucket("team"), tmp_path / "got"
        for each in bucket.objects.filter(Prefix="nnlab/"):
            target = got / each.key.removeprefix("nnlab/")
            target.parent.mkdir(parents=True, exist_ok=True)
            bucket.download_file(each.key, str(target))
        runs = mirrored.journals(tmp_path / "outputs")
        assert len(runs) == 1
        assert server.problems(runs, artifacts=got) == []

        with server.connect() as connection:
            (run_id,) = connection.execute("select run_uuid from runs").fetchone()  # type: ignore[misc]
        monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "elsewhere"))  # where nothing is known of the run
        again = subprocess.run([*nnlab, "reproduce", run_id], capture_output=True, text=True)
        assert "verdict   IDENTICAL" in again.stdout, again.stdout + again.stderr
    finally:
        server.stop()
