"""No test touches the user's home, outputs or MLflow store."""

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nnlab import runner


@pytest.fixture(scope="session")
def shared_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data cache for the whole session: importing scikit-learn for wine and moons takes two seconds."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, shared_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point everything that nnlab reads from the environment to temporary places."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("NNLAB_DATA_DIR", str(shared_data_dir))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The outputs root of this test."""
    return tmp_path / "outputs"


class _Prompt(ThreadPoolExecutor):
    def submit(self, action: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        future = super().submit(action, *arguments, **keywords)
        concurrent.futures.wait([future])
        return future


@pytest.fixture
def prompt_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run goes on before its checkpoint is written: a directory can't be copied at a single moment."""
    monkeypatch.setattr(runner, "ThreadPoolExecutor", _Prompt)
