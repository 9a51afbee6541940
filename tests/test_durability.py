"""What a power cut may not take: the order in which bytes and names get onto the disk; and which folder that is in."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnlab import app, atomic_file, checkpoint, journal


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the paths that are synced, in order, as they are then named."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("asks Linux which files are open")
    paths: list[Path] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        fsync(fd)
        paths.append(Path(f"/proc/self/fd/{fd}").readlink())

    monkeypatch.setattr(os, "fsync", record)
    return paths


def test_a_name_is_on_the_disk_with_those_above_it(tmp_path: Path, synced: list[Path]) -> None:
    path = tmp_path / "outputs" / "runs" / "one"
    path.mkdir(parents=True)
    atomic_file.sync_names(path)
    assert synced[:3] == [tmp_path / "outputs" / "runs", tmp_path / "outputs", tmp_path]


def test_a_runs_first_checkpoint_comes_with_its_run(tmp_path: Path, synced: list[Path]) -> None:
    run = tmp_path / "outputs" / "runs" / "one"
    run.mkdir(parents=True)
    folder = run / "checkpoints" / checkpoint.name(0)
    checkpoint.write(folder, {"0.bias": np.zeros(2)}, {"epoch": 0})
    first_bytes = next(place for place, path in enumerate(synced) if path.suffix == ".npy")
    assert synced[:3] == [run, run.parent, run.parents[1]]  # with the names of checkpoints, the run, and runs
    assert first_bytes > 2
    assert synced[-2:] == [folder.with_name(f".{folder.name}.tmp"), folder.parent]


def test_a_damaged_checkpoint_loses_its_name_before_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints" / checkpoint.name(5)
    checkpoint.write(folder, {"0.bias": np.zeros(2)}, {"epoch": 5})
    (folder / "0.bias.npy").write_bytes(b"damaged")

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write(folder, {"0.bias": np.ones(2)}, {"epoch": 5})
    assert not folder.exists()
    checkpoint.write(folder, {"0.bias": np.ones(2)}, {"epoch": 5})
    assert checkpoint.problems(folder) is None
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_runs_config_is_on_the_disk_before_its_first_checkpoint(outputs: Path, synced: list[Path]) -> None:
    directory = app.train(["dataset=moons", "training.epochs=1", "tracking=none"])
    assert directory is not None
    before = synced[: next(place for place, path in enumerate(synced) if path.suffix == ".npy")]
    assert {directory / f".{name}.tmp" for name in ("config.yaml", "environment.json")} <= {*before}


def test_relative_paths_mean_the_same_whatever_hydra_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    (tmp_path / "work" / "table.csv").write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(60)))
    monkeypatch.setenv("NNLAB_OUTPUTS", "mine")
    data = ["dataset=csv", "dataset.path=table.csv", "dataset.target=kind"]
    directory = app.train([*data, "training.epochs=1", "tracking=none", "hydra.job.chdir=true"])
    assert directory is not None
    assert directory.parents[1] == tmp_path / "work" / "mine"
    assert journal.read(directory).status == "FINISHED"
    assert Path.cwd() == tmp_path / "work"
    assert not outputs.exists()
    assert not [path for path in directory.rglob("*") if path.name in ("mine", "runs")]
