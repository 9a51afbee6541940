"""What importing costs, and what a wheel holds."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nnlab.cli import main

HEAVY = ("hydra", "omegaconf", "mlflow", "matplotlib", "pandas", "sklearn", "scipy", "pydantic", "rich")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", ["nnlab.training", "nnlab.nn", "nnlab.optim", "nnlab.data", "nnlab.checkpoint"])
def test_the_engine_imports_numpy_and_nothing_heavy(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)


LOADING = ("nnlab.regular_file", "nnlab.npy", "nnlab.machine_memory", "nnlab.one_line")  # they import numpy at most


@pytest.mark.parametrize("module", ["nnlab.nn", "nnlab.optim", "nnlab.data"])
def test_the_doors_open_one_way(module: str) -> None:
    own = {name for name in modules_after(f"import {module}") if name.startswith("nnlab.")}
    allowed = ("nnlab.nn", "nnlab.optim", "nnlab.data", "nnlab.errors", "nnlab.scratch", *LOADING)
    assert all(name.startswith(allowed) for name in own)
    if module != "nnlab.data":
        assert not any(name.startswith("nnlab.data") for name in own)


def test_training_never_imports_mlflow() -> None:
    loaded = modules_after("import nnlab.app, nnlab.runner, nnlab.sweep.sweeper, nnlab.api")
    assert "mlflow" not in loaded


def test_help_imports_no_numpy() -> None:
    loaded = modules_after("from nnlab.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not loaded & {*HEAVY, "numpy"}


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for verb in ("train", "sync", "compare", "evaluate", "export", "import", "ui", "doctor", "data"):
        assert f"    {verb} " in printed


@pytest.mark.parametrize(
    ("line", "expected"),
    [("nnlab train activation=r", "activation=relu"), ("nnlab train dataset.sp", "dataset.split=")],
)
def test_the_shells_completion_sees_through_the_verb(line: str, expected: str) -> None:
    command = [sys.executable, "-m", "nnlab", "-sc", "query=bash"]
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert expected in done.stdout.split()


@pytest.mark.parametrize("verb", [[], ["train"]])
@pytest.mark.parametrize(
    ("asked", "what"),
    [("query=bash", "COMP_LINE"), ("install=tcsh", "bash, fish or zsh"), ("", "install, uninstall and query")],
)
def test_a_completion_that_no_shell_asks_for_is_refused_in_one_line(
    verb: list[str], asked: str, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", "")
    with pytest.raises(SystemExit) as ended:
        main([*verb, "-sc", *asked.split()])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert what in line


def test_a_wheel_holds_configs_experiments_and_plugins_and_works_from_anywhere(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    for path in [*root.glob("conf/**/*.yaml"), *root.glob("experiments/*.yaml")]:
        assert f"nnlab/{path.relative_to(root).as_posix()}" in names
    assert "hydra_plugins/nnlab_sweeper/__init__.py" in names
    assert "hydra_plugins/__init__.py" not in names
    train = [sys.executable, "-m", "nnlab", "train", "experiment=mnist-mlp", "--cfg", "job"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "_target_: nnlab.data.mnist" in done.stdout
