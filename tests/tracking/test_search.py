"""Runs that a real sqlite store finds, compared as if their directories were here."""

import shutil
from collections.abc import Callable

import pytest

from nnlab.cli import main
from nnlab.comparison import compare
from nnlab.errors import NnlabError
from nnlab.tracking.search import search
from tests.tracking.conftest import START, Lab

Mirroring = Callable[..., bool]


def run(lab: Lab, name: str, accuracy: float | None, experiment: str = "e", **given: object) -> None:
    """Write a run's journal; ``activation``, ``seed`` and ``tags`` may be given."""
    params = {"activation": given.get("activation", "relu"), "seed": given.get("seed", 0), "optimizer.lr": 0.1}
    lines: list[dict[str, object]] = [{"type": "params", "params": {**params, "architecture.hidden_sizes": [5, 5]}}]
    if accuracy is not None:
        lines.append({"type": "metrics", "step": 2, "metrics": {"final/test_accuracy": accuracy}})
    lines.append({"type": "status", "status": "FAILED" if accuracy is None else "FINISHED", "reason": None})
    run: dict[str, object] = {"run_id": name, "name": name, "experiment": experiment, "tags": given.get("tags", {})}
    lab.journal(f"runs/{name}", *lines, **run, timestamp=START + 1000 * len(list(lab.outputs.glob("runs/*"))))


@pytest.fixture
def store(lab: Lab, mirror: Mirroring) -> Lab:
    for activation, base in (("relu", 0.8), ("tanh", 0.9)):
        for seed in range(3):
            run(lab, f"{activation}{seed}", base + seed**2 / 100, activation=activation, seed=seed)
    run(lab, "failed", None, seed=3)
    run(lab, "other", 0.1, experiment="other")
    run(lab, "again", 0.8, tags={"nnlab.reproduces": "relu0"})
    closed = {"type": "status", "status": "FINISHED", "reason": None}
    lab.journal("sweeps/s", closed, run_id="s", experiment="e", tags={"nnlab.kind": "sweep"})
    for directory in sorted(path.parent for path in lab.outputs.glob("*/*/journal.jsonl")):
        mirror(directory)
    return lab


def test_the_stores_runs_are_compared_like_local_ones(store: Lab) -> None:
    local = compare(*(store.outputs / "runs").glob("[!ao]*"))  # without those named again and other
    (store.outputs / "runs").rename(store.outputs / "moved")
    shutil.rmtree(store.outputs / "sweeps")
    for filter in ("", "params.`optimizer.lr` = '0.1'"):  # noqa: A001
        table = compare(filter=filter, experiment="e")
        assert table.drop(columns="failed").equals(local.drop(columns="failed"))
        assert list(table["failed"]) == list(local["failed"]) == [0, 1]
        assert table.attrs["tests"] == local.attrs["tests"]
        assert table.attrs["seeds"] == [0, 1, 2]


def test_a_filter_chooses(store: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    table = compare(filter="attributes.status = 'FINISHED' and params.activation = 'tanh'")
    assert (len(table), table["n"][0], table["failed"][0]) == (1, 3, 0)
    assert {entry.run["experiment"] for entry in search(store.outputs, "")} == {"e", "other"}
    (found,) = [entry.params for entry in search(store.outputs, "", "e") if entry.run["name"] == "tanh2"]
    assert found == {"activation": "tanh", "architecture.hidden_sizes": [5, 5], "optimizer.lr": 0.1, "seed": 2}
    monkeypatch.setattr("nnlab.tracking.search._RUNS_A_CALL", 2)
    monkeypatch.setattr("nnlab.tracking.search._EXPERIMENTS_A_CALL", 1)
    assert len(search(store.outputs, "")) == 8  # in pages
    names = sorted(entry.run["name"] for entry in search(store.outputs, ""))
    monkeypatch.setattr("nnlab.tracking.search.store.is_server", lambda uri: True)
    for filter in ("", "attributes.status != 'RUNNING'"):  # noqa: A001
        assert sorted(entry.run["name"] for entry in search(store.outputs, filter)) == names  # in slices of time


def test_what_is_wrong_is_said_in_one_line(store: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for filter, more, line in (  # noqa: A001
        ("params.activation like", [], "nnlab: --filter 'params.activation like': Invalid"),
        ("nonsense = 3", [], "nnlab: --filter 'nonsense = 3': Invalid"),
        ("'", [], 'nnlab: --filter "\'": '),
        ("params.activation = 'elu'", [], "nnlab: no run in the store sqlite://"),
        ("", ["--experiment", "nope"], "nnlab: the store sqlite://"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["compare", "--filter", filter, *more])
        printed = capsys.readouterr()
        assert (ended.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
        assert printed.err.startswith(line)


def test_a_store_that_is_not_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.database.unlink()
    with pytest.raises(NnlabError, match="there is none at"):
        compare(filter="")
    assert not lab.database.exists()
    lab.database.write_bytes(b"no database " * 1000)
    with pytest.raises(NnlabError, match="can't be read"):
        compare(filter="")
