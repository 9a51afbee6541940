"""What a run writes about where it ran: complete, without secrets, looked up once a process."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnlab import checkout, environment, journal, pictures, runner
from nnlab.checkout import Checkout
from nnlab.data import wine
from nnlab.hashing import code_version
from tests.jobs import job

KEYS = {
    *("nnlab", "python", "packages", "cpu", "cores", "system", "blas", "blas_threads", "code_version", "data_hash"),
    *("git_commit", "git_dirty", "uncommitted", "command", "overrides", "seed", "run_id"),
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look everything up anew, and draw nothing, which takes most of a run's time."""
    monkeypatch.setattr(pictures, "draw_curves", lambda *_: None)
    monkeypatch.setattr(pictures, "draw_predictions", lambda *_: None)
    environment.facts.cache_clear()
    yield
    environment.facts.cache_clear()


def described(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "environment.json").read_text(encoding="utf-8")))


def test_a_run_writes_what_it_takes_to_be_reproduced(tmp_path: Path) -> None:
    runner.run([job("seed=3", "training.blas_threads=1")], [tmp_path])
    facts = described(tmp_path)
    assert facts.keys() == KEYS
    assert facts["nnlab"] == metadata.version("nnlab")
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["packages"]["mlflow"] == metadata.version("mlflow")
    assert {"hydra-core", "scikit-learn", "pydantic"} <= facts["packages"].keys()
    assert not {"pytest", "ruff", "torch", "jax"} & facts["packages"].keys()  # extras
    assert facts["blas_threads"] == 1
    assert facts["code_version"] == code_version()
    assert facts["data_hash"] == wine().data_hash
    assert facts["overrides"] == ["tracking=none", "training.epochs=5", "seed=3", "training.blas_threads=1"]
    assert facts["seed"] == 3
    header = journal.read(tmp_path).run
    assert facts["run_id"] == header["run_id"]
    assert header["environment"].items() <= facts.items()
    assert header["environment"]["command"] == facts["command"]


def test_a_killed_run_has_it_too(tmp_path: Path) -> None:
    runner.run([job()], [tmp_path])
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    first = next(number for number, line in enumerate(lines) if line["type"] == "metrics")
    before = [line["path"] for line in lines[:first] if line["type"] == "artifact"]
    assert before[:2] == ["config.yaml", "environment.json"]


@pytest.mark.parametrize(
    ("state", "written"),
    [
        (None, (None, None, None)),
        (Checkout("c" * 40, dirty=False), ("c" * 40, False, None)),
        (Checkout("c" * 40, dirty=True, diff=b"--- a\xff"), ("c" * 40, True, "uncommitted.diff")),
        (Checkout("c" * 40, dirty=True, note="too large"), ("c" * 40, True, "too large")),
        (Checkout("c" * 40, dirty=None, note="git could not say"), ("c" * 40, None, "git could not say")),
    ],
)
def test_the_state_of_the_sources(
    state: Checkout | None, written: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "current", lambda: state)
    runner.run([job()], [tmp_path])
    facts, record = described(tmp_path), journal.read(tmp_path)
    assert (facts["git_commit"], facts["git_dirty"], facts["uncommitted"]) == written
    diff = tmp_path / "uncommitted.diff"
    assert diff.exists() == ("uncommitted.diff" in record.artifacts) == bool(state and state.diff)
    assert not diff.exists() or (state and diff.read_bytes() == state.diff)
    tags = {name: text for name, text in record.run["tags"].items() if "git" in name}
    commit = {"mlflow.source.git.commit": "c" * 40} if state else {}
    dirty = {"nnlab.git_dirty": str(state.dirty).lower()} if state and state.dirty is not None else {}
    assert tags == {**commit, **dirty}


def test_no_environment_variable_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "correct horse battery staple"  # noqa: S105
    monkeypatch.setenv("DATABASE_PASSWORD", password)
    monkeypatch.setattr(checkout, "current", lambda: None)  # else the diff has this very file
    runner.run([job()], [tmp_path])
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes()


def test_a_second_run_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.run([job()], [tmp_path / "first"])

    def refuse(*command: object, **options: object) -> None:
        raise AssertionError(command)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    runner.run([job()], [tmp_path / "second"])
    of_run = {"run_id": None}
    assert described(tmp_path / "second") | of_run == described(tmp_path / "first") | of_run


def test_the_command_can_be_given_to_a_shell_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/anywhere/nnlab/__main__.py", "train", "architecture.hidden_sizes=[5, 5]"])
    assert environment.facts()["command"] == "nnlab train 'architecture.hidden_sizes=[5, 5]'"


def test_the_blas_is_numpys_whether_scipys_is_loaded_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    home = os.path.dirname(np.__file__)  # noqa: PTH120 - as threadpoolctl gives it
    numpys = {"internal_api": "openblas", "version": "0.3.31", "architecture": "Zen", "filepath": f"{home}.libs/a.so"}
    scipys = {"internal_api": "mkl", "version": "2026", "filepath": "/elsewhere/b.so"}
    for pools, expected in (
        ([scipys, numpys], "openblas 0.3.31 Zen"),
        ([numpys], "openblas 0.3.31 Zen"),
        ([scipys], "mkl 2026"),  # a distribution's NumPy, whose BLAS lies anywhere
    ):
        monkeypatch.setattr(environment, "_blas_pools", lambda pools=pools: pools)
        assert environment.blas.__wrapped__() == expected
    monkeypatch.setattr(environment, "_blas_pools", list)
    assert environment.blas.__wrapped__()  # what NumPy was built with


def test_a_processor_without_a_name_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for text, expected in (
        (
            "processor\t: 0\nmodel name\t: Ada 9 @ 3 GHz\nflags\t: fpu\nprocessor\t: 1\nmodel name\t: Ada 9",
            "Ada 9 @ 3 GHz",
        ),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", ""),
    ):
        monkeypatch.setattr(Path, "read_text", lambda path, *given, text=text: text)
        assert environment.cpu() == expected


def test_run_from_sources_that_are_not_installed_numpys_version_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = metadata.version

    def missing(package: str) -> Any:
        if package == "nnlab":
            raise metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(metadata, "requires", missing)
    monkeypatch.setattr(metadata, "version", missing)
    facts = environment.facts()
    assert facts["nnlab"] is None
    assert facts["packages"] == {"numpy": np.__version__}
    assert re.fullmatch(r"[0-9a-f]{64}", facts["code_version"])
