"""sweep.json: the plan as a file; later edits of conf/ change nothing, and somebody else's is read as data."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nnlab.errors import NnlabError
from nnlab.sweep import frozen
from nnlab.sweep.plan import Planned, Sweep
from tests.sweep.sweeps import QUICK, planned


@pytest.fixture(scope="module")
def jobs() -> list[Planned]:
    """Two jobs, and one that can't run."""
    given = [("relu", 0), ("relu", 1), ("no", 0)]
    return planned([[*QUICK, f"activation={name}", f"seed={seed}"] for name, seed in given], ["activation", "seed"])


@pytest.fixture
def sweep(jobs: list[Planned], outputs: Path) -> Sweep:
    """A sweep of them, frozen."""
    outputs.mkdir()
    here = [
        replace(each, job=each.job and replace(each.job, directory=outputs / each.job.directory.name)) for each in jobs
    ]
    sweep = Sweep(outputs, ("activation=relu,no", "seed=0,1"), ("activation", "seed"), {"n_jobs": 2}, tuple(here))
    frozen.freeze(sweep)
    return sweep


def change(sweep: Sweep, edit: Callable[[dict[str, Any]], object]) -> None:
    path = sweep.directory / "sweep.json"
    node = json.loads(path.read_text())
    edit(node)
    path.write_text(json.dumps(node))


def comparable(jobs: tuple[Planned, ...]) -> list[Any]:
    return [
        (each.number, each.name, each.overrides, each.job, each.problem, each.stands, each.data_hash) for each in jobs
    ]


def test_a_plan_comes_back_as_it_was(sweep: Sweep) -> None:
    for read in (frozen.thaw(sweep.directory), frozen.own(sweep.directory)):
        assert comparable(read.planned) == comparable(sweep.planned)
        assert [each.composed for each in read.planned[:2]] == [each.composed for each in sweep.planned[:2]]
        assert (read.given, read.swept, read.launcher) == (sweep.given, sweep.swept, sweep.launcher)
        assert read.code_version == sweep.code_version
    assert frozen.job(sweep.directory, 1).job == sweep.planned[1].job
    assert "there is no such choice" in str(frozen.job(sweep.directory, 2).problem)
    assert [path.name for path in sweep.directory.iterdir()] == ["sweep.json"]


def test_the_file_can_be_read_by_people(sweep: Sweep) -> None:
    lines = (sweep.directory / "sweep.json").read_text().splitlines()
    node = json.loads("\n".join(lines))
    assert [json.loads(line.rstrip(",")) for line in lines if line.startswith('{"number"')] == node["jobs"]
    assert node["jobs"][1]["directory"] == "1"
    assert node["jobs"][1]["config"]["seed"] == 1
    assert len(node["hydra"]) == 1


def test_a_sweep_that_was_moved_is_where_it_is_now(sweep: Sweep, tmp_path: Path) -> None:
    moved = sweep.directory.rename(tmp_path / "moved")
    job = frozen.thaw(moved).planned[1].job
    assert job is not None
    assert job.directory == moved / "1"


def test_referred_names_runs_elsewhere(sweep: Sweep, tmp_path: Path) -> None:
    assert frozen.referred(sweep.directory) == []
    assert frozen.referred(tmp_path) == []
    change(sweep, lambda node: node["jobs"][1].update(stands="/else/where"))
    assert frozen.referred(sweep.directory) == [Path("/else/where")]
    assert frozen.thaw(sweep.directory).planned[1].stands == Path("/else/where")


def test_directories_are_those_of_jobs_that_can_run(sweep: Sweep, tmp_path: Path) -> None:
    change(sweep, lambda node: node["jobs"][0].update(directory="moons/0"))
    assert frozen.directories(sweep.directory) == [sweep.directory / "moons" / "0", sweep.directory / "1"]
    assert frozen.directories(tmp_path) == []


def test_a_component_of_the_users_own_needs_trust(sweep: Sweep) -> None:
    mine = "nnlab.nn.activations.Softmax2"
    change(sweep, lambda node: node["jobs"][1]["config"]["activation"].update(_target_=mine))
    with pytest.raises(NnlabError, match=rf"job 1: activation._target_=\"{mine}\": nnlab does not ship .* --trust"):
        frozen.thaw(sweep.directory)
    with pytest.raises(NnlabError, match="there is no such function or class"):  # so it was looked up
        frozen.thaw(sweep.directory, [mine])


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "target": (lambda node: node["jobs"][0]["config"]["optimizer"].update(_target_="os.system"), "os.system"),
    "key": (lambda node: node["jobs"][0]["config"].update(more=1), "more: there is no such key"),
    "resolver": (
        lambda node: node["jobs"][0]["config"].update(experiment_name="${oc.env:HOME}"),
        "nothing is looked up",
    ),
    "hydra": (lambda node: node["jobs"][0]["config"].update({"hydra": {}}), "Hydra's own settings"),
    "experiment": (lambda node: node["jobs"][0]["config"].update(experiment_name="../x"), "it becomes a folder"),
    "control": (lambda node: node["jobs"][0]["config"].update(experiment_name="\x1b[2J"), "control characters"),
    "name": (lambda node: node["jobs"][0].update(name="\x1b[2J"), "control characters"),
    "number": (lambda node: node["jobs"][0]["config"].update(seed=2**200), "128 bits"),
    "absolute": (lambda node: node["jobs"][0].update(directory="/etc/x"), "outside of the sweep"),
    "up": (lambda node: node["jobs"][0].update(directory="../x"), "outside of the sweep"),
    "record": (lambda node: node["hydra"][0].update(output_subdir="../../x"), "outside of the sweep"),
    "version": (lambda node: node.update(version=2), "version=2"),
    "extra": (lambda node: node.update(directory="/"), "directory: there is no such key"),
    "type": (lambda node: node["jobs"][0].update(overrides="seed=1"), r"overrides=\"seed=1\""),
    "numbers": (lambda node: node["jobs"].reverse(), "not numbered"),
    "no job": (lambda node: node.update(jobs=[]), "no job that can run"),
    "no config": (lambda node: node["jobs"][0].update(config=None), "job 0 has no config"),
    "no settings": (lambda node: node["jobs"][0].update(hydra=7), "hydra=7"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_plan_is_refused_in_one_line(sweep: Sweep, kind: str) -> None:
    edit, said = HOSTILE[kind]
    change(sweep, edit)
    with pytest.raises(NnlabError, match=said) as caught:
        frozen.thaw(sweep.directory)
    assert str(caught.value).isprintable()
    assert str(sweep.directory / "sweep.json") in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": NaN}', '{"a": ' * 30 + "1" + "}" * 30, "[" * 100_000, "\xff", '{"a": 1' + "0" * 5000 + "}"],
)
def test_what_is_no_plan_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text, encoding="latin-1")
    for read in (frozen.thaw, frozen.referred, frozen.directories):
        with pytest.raises(NnlabError, match="is damaged") as caught:
            read(tmp_path)
        assert str(caught.value).isprintable()


def test_a_symbolic_link_leads_no_job_out_of_the_sweep(sweep: Sweep, tmp_path: Path) -> None:
    (sweep.directory / "0").symlink_to(tmp_path)
    with pytest.raises(NnlabError, match="outside of the sweep"):
        frozen.thaw(sweep.directory)


def test_there_may_be_no_plan(tmp_path: Path) -> None:
    with pytest.raises(NnlabError, match=r"holds no sweep: there is no sweep.json"):
        frozen.thaw(tmp_path)
    with pytest.raises(NnlabError, match=r"holds no sweep: there is no sweep.json"):
        frozen.job(tmp_path, 0)
