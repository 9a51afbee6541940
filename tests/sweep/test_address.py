"""The address of a run: what it is, wherever it lies and however it is tracked."""

import shutil
from pathlib import Path

import pytest

from nnlab import address as module
from nnlab import hashing, journal, runner
from nnlab.address import address
from nnlab.data import wine
from tests.jobs import job

DATA = "0" * 64


def of(*overrides: str, threads: int = 1, data: str = DATA) -> str:
    return address(job(*overrides).config, threads, data)


def test_what_decides_nothing_is_no_part_of_it() -> None:
    tracked = ["tracking=mlflow", "tracking.max_points=null", "tracking.wait_seconds=1.0", "experiment_name=another"]
    assert of() == of(*tracked)
    assert len(of()) == 64


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "dataset.split=whole",
        "activation=relu",
        "architecture.hidden_sizes=[5,6]",
        "initializer.gain=2.0",
        "initializer@initializer.bias=constant",
        "optimizer.lr=0.2",
        "schedule.warmup=1",
        "loss.l2=0.1",
        "training.epochs=6",
        "training.dtype=float64",
        "augmentation=shift_rotate",
        "checkpoint.keep=all",
    ],
)
def test_every_setting_of_a_run_counts(override: str) -> None:
    assert of(override) != of()


def test_data_threads_and_code_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({of(), of(threads=2), of(data="1" * 64)}) == 3
    before = of()
    monkeypatch.setattr(module, "code_version", lambda: "another")
    assert of() != before


def test_threads_count_once_whether_they_were_asked_for_or_not() -> None:
    assert of("training.blas_threads=1", threads=1) == of(threads=1)


def test_a_path_counts_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    assert of("dataset=csv", "dataset.path=a.csv") == of("dataset=csv", "dataset.path=b.csv")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    for name in ("0.weight.npy", "0.bias.npy"):
        (first / name).write_bytes(name.encode())
    shutil.copytree(first, second)
    addresses = [of(f"initializer.from={folder}") for folder in (first, second)]
    assert addresses[0] == addresses[1] != of()
    (second / "0.bias.npy").write_bytes(b"other")
    changed = of(f"initializer.from={second}")
    assert changed != addresses[0]
    (second / "0.bias.npy").rename(second / "2.bias.npy")
    assert of(f"initializer.from={second}") not in (changed, addresses[0])


def test_the_users_own_components_count_by_the_files_that_define_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "from nnlab.nn import activations\nclass Mine(activations.Identity): factor = 1\n"
    (tmp_path / "formulas_of_mine.py").write_text(source)
    (tmp_path / "shown_of_mine.py").write_text("from formulas_of_mine import Mine\n")
    asked = "activation._target_=shown_of_mine.Mine"
    before = of(asked)
    assert before == of(asked) != of("activation._target_=nnlab.nn.activations.Identity")
    (tmp_path / "formulas_of_mine.py").write_text(source.replace("factor = 1", "factor = 2.5"))
    changed = of(asked)
    assert changed != before
    (tmp_path / "formulas_of_mine.py").write_text(source)
    assert of(asked) == before
    (tmp_path / "formulas_of_mine.py").unlink()  # imported long ago
    assert of(asked) not in (before, changed)


def test_a_run_carries_its_address(tmp_path: Path) -> None:
    lone = job("training.blas_threads=1")
    runner.run([lone], [tmp_path / "run"])
    tags = journal.read(tmp_path / "run").run["tags"]
    assert tags["nnlab.address"] == address(lone.config, 1, wine().data_hash)
    assert tags["nnlab.code_version"] == hashing.code_version()
