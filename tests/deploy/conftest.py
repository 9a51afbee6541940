"""The server that a team would run, installed from Debian's packages, started from deploy/ and stopped again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.team_server import TeamServer

_PROGRAMS = {"initdb": "postgresql", "chromium": "chromium"}


@pytest.fixture(autouse=True, scope="module")
def programs(request: pytest.FixtureRequest) -> None:
    """What is no Python package has to be there; `.ci/run` installs it, and insists on it."""
    if not any(mark.name == "services" for mark in request.node.iter_markers()):
        return
    path = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    if missing := [package for name, package in _PROGRAMS.items() if shutil.which(name, path=path) is None]:
        problem = f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}"
        if os.environ.get("NNLAB_TEST_SERVICES") == "required":
            pytest.fail(problem)
        pytest.skip(problem)


@pytest.fixture(scope="module")
def team_server(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    """PostgreSQL and MLflow with accounts, each in processes of its own."""
    server = TeamServer(tmp_path_factory.mktemp("team"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder / "database", ignore_errors=True)  # which belongs to another user


@pytest.fixture
def environment(team_server: TeamServer, shared_data_dir: Path) -> dict[str, str]:
    """What a user of the server would set, and places for this test alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "NNLAB"))}
    return {**kept, **team_server.client_environment, "NNLAB_DATA_DIR": str(shared_data_dir)}
