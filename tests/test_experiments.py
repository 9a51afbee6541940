"""The files of ``experiments/``: they compose and build, their headers say all, their bodies nothing twice."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nnlab import paths, runner
from nnlab.build import build
from nnlab.compose import Job, as_override, compose_job, hydra_app
from nnlab.training import train

FILES = sorted(paths.experiments_dir().glob("*.yaml"))
DOWNLOADED = ("mnist", "fashion_mnist")
FIELDS = ("Source", "Claims", "Split", "Cost", "Command")

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
every_moons_network = pytest.mark.parametrize("hidden", [1, 2, 3, 4, 5, 20, 50])


@functools.cache
def composed(*overrides: str, experiments: tuple[Path, ...] = ()) -> Job:
    with hydra_app(overrides, experiments=experiments) as app:
        return compose_job(app, overrides)


@functools.cache
def content(path: Path) -> dict[str, Any]:
    node: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return node


def claim(path: Path) -> dict[str, Any]:
    node: dict[str, Any] = content(path).get("claim", {})
    return node


def header(path: Path) -> dict[str, str]:
    """The fields of a header, in their order, lines joined."""
    first, gap, title, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first == "# @package _global_", "a line above it would switch it off"
    assert gap == "#"
    assert re.match(r"# \S.*\.$", title)
    fields: dict[str, str] = {}
    for line in lines[: lines.index("defaults:")]:
        if found := re.match(r"# (\w+): (.+)", line):
            assert found[1] not in fields
            fields[found[1]] = found[2]
        else:
            assert line.startswith("#   "), f"neither a field nor the rest of one: {line}"
            fields[list(fields)[-1]] += line[3:]
    return fields


def leaves(node: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def value_at(node: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        node = node[key]
    return node


def test_every_published_system_has_an_experiment() -> None:
    assert {claim(path)["system"] for path in FILES if claim(path)} >= {"S0", "S1", "S2", "S3", "S4"}


@every_file
def test_it_composes_and_builds(path: Path) -> None:
    job = composed(f"experiment={path.stem}")
    assert job.choices["experiment"] == path.stem
    if job.choices["dataset"] not in DOWNLOADED:
        runner.check(job)


@every_file
def test_its_honest_twin_composes_and_is_another_run(path: Path) -> None:
    honest = claim(path).get("honest")
    if honest:
        overrides = [as_override(key, value) for key, value in honest["overrides"].items()]
        own, twin = composed(f"experiment={path.stem}"), composed(f"experiment={path.stem}", *overrides)
        assert own.config != twin.config
        if twin.choices["dataset"] not in DOWNLOADED:
            runner.check(twin)


@every_file
def test_its_header_says_source_claims_split_cost_and_command(path: Path) -> None:
    fields, claimed = header(path), claim(path)
    assert tuple(fields) == FIELDS
    cost = re.fullmatch(r"(\d+) seconds on 2 cores, (\d+) runs?\.", fields["Cost"])
    assert cost, fields["Cost"]
    verb = f"nnlab reproduce {path.stem}" if claimed else f"nnlab train experiment={path.stem}"
    assert fields["Command"] == verb
    if claimed:
        runs = len(claimed["seeds"]) + len(claimed.get("honest", {}).get("seeds", []))
        assert (float(cost[1]), int(cost[2])) == (claimed["cost"], runs)
        assert claimed["kind"] == "own" or claimed["kind"] in fields["Claims"]
        assert ("honest" in claimed) == ("honest twin" in fields["Split"])
        if claimed["system"] != "own":
            assert fields["Source"].startswith(f"{claimed['system']} of the five published systems")


@every_file
def test_its_body_sets_nothing_that_is_so_without_it(path: Path, tmp_path: Path) -> None:
    node, plain = content(path), composed()
    bare = tmp_path / "bare.yaml"
    bare.write_text("# @package _global_\n" + yaml.safe_dump({"defaults": node["defaults"]}))
    without = composed("experiment=bare", experiments=(bare,)).config.to_dict()
    for entry in node["defaults"]:
        if entry != "_self_":
            ((key, choice),) = entry.items()
            group = key.removeprefix("override ").lstrip("/")
            assert plain.choices.get(group) != choice, f"{group} is {choice} anyway"
    for place, value in leaves({key: node[key] for key in node.keys() - {"defaults", "claim"}}):
        assert value_at(without, place) != value, f"{'.'.join(place)} is {value} anyway"


@every_file
def test_its_seeds_are_distinct(path: Path) -> None:
    for protocol in filter(None, (claim(path), claim(path).get("honest"))):
        assert len(set(protocol["seeds"])) == len(protocol["seeds"]) > 0


@every_moons_network
def test_moons_networks_start_from_the_articles_own_draws(hidden: int) -> None:
    """Whatever the run's seed: the two weights are drawn one after the other, ``[in, out]``, after ``seed(0)``."""
    legacy = np.random.RandomState(0)
    first = legacy.randn(2, hidden) / np.sqrt(2)
    second = legacy.randn(hidden, 2) / np.sqrt(hidden)
    config = composed(f"experiment=s2-moons-hidden-{hidden}").config
    for seed in (0, 7):
        state = build([config.model_copy(update={"seed": seed})]).network.state_dict()
        np.testing.assert_array_equal(state["0.weight"], first.T)
        np.testing.assert_array_equal(state["2.weight"], second.T)
        assert not state["0.bias"].any()
        assert not state["2.bias"].any()


@every_moons_network
def test_moons_networks_meet_their_claims_of_the_first_thousand_updates(hidden: int) -> None:
    name = f"s2-moons-hidden-{hidden}"
    claimed = claim(paths.experiments_dir() / f"{name}.yaml")["figures"]
    figures = [figure for figure in claimed if figure.get("epoch") in (2, 1002)]
    assert [figure["metric"] for figure in figures] == ["train/objective"] * 2
    stack = build([composed(f"experiment={name}").config])
    epochs = train(
        stack.network,
        stack.loss,
        stack.optimizer,
        stack.schedules,
        stack.batches,
        replace(stack.plan, epochs=1002),
        {},
        penalty=stack.penalty,
    )
    objective = {result.epoch: result.metrics["train/objective"][0] for result in epochs if result.epoch}
    for figure in figures:
        assert objective[figure["epoch"]] == pytest.approx(figure["value"], abs=figure["within"], rel=0)
