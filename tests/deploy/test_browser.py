"""What a person sees of a sweep in MLflow's UI, on the team's server, in headless Chromium."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import expect

from benchmarks.faults import mirrored
from benchmarks.mlflow_pages import Curve, MlflowPages
from benchmarks.team_server import USER, TeamServer
from tests.deploy.copied_runs import copy_runs

pytestmark = pytest.mark.services

_SWEEP = "activation x seed: 6 runs"
_EPOCHS = 40
_PICTURES = os.environ.get("NNLAB_TEST_PICTURES")  # a folder in which to leave the screenshots, for a person


@pytest.fixture(scope="module")
def journals(team_server: TeamServer, shared_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of six runs, trained and mirrored."""
    directory = tmp_path_factory.mktemp("ann")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "NNLAB"))}
    subprocess.run(
        [
            *[sys.executable, "-m", "nnlab", "train", "-m", "dataset=moons", "activation=tanh,relu,sigmoid"],
            *["seed=range(2)", f"training.epochs={_EPOCHS}", "experiment_name=team"],
        ],
        cwd=directory,
        env={**kept, **team_server.client_environment, "NNLAB_DATA_DIR": str(shared_data_dir)},
        check=True,
        capture_output=True,
    )
    return directory / "outputs"


@pytest.fixture
def pages(team_server: TeamServer, journals: Path, tmp_path: Path) -> Iterator[MlflowPages]:
    """A browser that has logged in, and at the end has seen no error and asked nobody else for anything."""
    pictures = Path(_PICTURES or tmp_path)
    pictures.mkdir(exist_ok=True)
    with MlflowPages(team_server.uri, USER, team_server.password, pictures) as opened:
        yield opened
    assert opened.problems == []
    assert opened.outside == []


def _recorded(outputs: Path, name: str) -> tuple[dict[str, str], dict[str, dict[int, float]]]:
    """Return the parameters, as MLflow writes them, and the metrics by step that a run's journal has."""
    found = {mirrored.lines(run)[0]["name"]: run for run in mirrored.journals(outputs)}
    params: dict[str, str] = {}
    metrics: dict[str, dict[int, float]] = {}
    for event in mirrored.lines(found[name]):
        for key, value in event.get("params", {}).items():
            params[key] = value if isinstance(value, str) else str(value)
        for key, value in event.get("metrics", {}).items():
            metrics.setdefault(key, {})[event["step"]] = float(value)
    return params, metrics


def _assert_drawn(curve: Curve, values: Mapping[int, float]) -> None:
    """Assert that a curve goes from the first step to the last and has its corners at recorded values."""
    steps = [round(step) for step, _ in curve.points]
    assert (steps[0], steps[-1]) == (min(values), max(values))
    assert len(steps) > 5
    for step, (_, value) in zip(steps, curve.points, strict=True):
        assert value == pytest.approx(values[step], abs=curve.pixel)


def test_a_sweep_is_a_row_that_unfolds_and_says_what_it_found(pages: MlflowPages, journals: Path) -> None:
    pages.experiment("team")
    assert pages.rows() == [_SWEEP]
    expect(pages.matching()).to_have_text("7 matching runs")
    pages.unfold(_SWEEP)
    children = [f"activation={activation} seed={seed}" for activation in ("tanh", "relu", "sigmoid") for seed in (0, 1)]
    assert sorted(pages.rows()) == sorted([_SWEEP, *children])
    pages.show_columns("final/test_accuracy", "activation", "seed")
    pages.picture("sweep")
    for child in children:
        params, metrics = _recorded(journals, child)
        expect(pages.cell(child, "params.`activation`")).to_have_text(params["activation"])
        expect(pages.cell(child, "params.`seed`")).to_have_text(params["seed"])
        (accuracy,) = metrics["final/test_accuracy"].values()
        shown = pages.cell(child, "metrics.`final/test_accuracy`").inner_text()
        assert float(shown) == pytest.approx(accuracy)

    pages.page.get_by_role("link", name=_SWEEP).click()
    (finding,) = [
        event["tags"]["nnlab.finding"]
        for run in mirrored.journals(journals)
        for event in mirrored.lines(run)
        if "nnlab.finding" in event.get("tags", {})
    ]
    expect(pages.page.get_by_role("paragraph").filter(has_text=finding)).to_be_visible()
    for child in children:
        expect(pages.page.get_by_role("link", name=child)).to_be_visible()
    pages.picture("parent")
    pages.tab("Artifacts")
    for file in ("curves.png", "metrics.png", "decision_boundaries.png"):
        assert min(pages.image("plots", file)) > 300
    pages.picture("parent-plots")


def test_a_run_shows_its_numbers_curves_and_plots(pages: MlflowPages, journals: Path) -> None:
    name = "activation=relu seed=1"
    params, metrics = _recorded(journals, name)
    pages.experiment("team")
    pages.unfold(_SWEEP)
    pages.page.get_by_role("link", name=name).click()
    shown = pages.table("Metrics")
    assert {key: float(text) for key, text in shown.items()} == pytest.approx(
        {key: values[max(values)] for key, values in metrics.items()}
    )
    shown = pages.table("Parameters")
    assert shown.keys() == params.keys()
    assert [shown[key] for key in ("activation", "optimizer.lr", "seed")] == ["relu", params["optimizer.lr"], "1"]
    pages.picture("run")

    pages.tab("Model metrics")
    pages.page.get_by_placeholder("Search metric charts").fill("^(train|val)/")
    for metric in ("train/loss", "val/accuracy"):
        chart = pages.chart(metric)
        _assert_drawn(pages.curves(chart)[name], metrics[metric])
    pages.picture("run-curves")

    pages.tab("Artifacts")
    for file in ("loss.png", "accuracy.png", "confusion.png", "decision_boundary.png"):
        assert min(pages.image("plots", file)) > 300
    pages.picture("run-plots")


def test_the_curves_of_a_sweep_and_three_runs_side_by_side(pages: MlflowPages, journals: Path) -> None:
    three = [f"activation={activation} seed=0" for activation in ("tanh", "relu", "sigmoid")]
    recorded = {name: _recorded(journals, name) for name in three}
    pages.experiment("team")
    pages.unfold(_SWEEP)
    pages.show("CHART")
    pages.page.get_by_placeholder("Search metric charts").fill("^(train|val)/")
    for metric in ("train/loss", "val/loss"):
        curves = pages.curves(pages.chart(metric))
        assert len(curves) == 6
        for name in three:
            _assert_drawn(curves[name], recorded[name][1][metric])
    pages.picture("curves")

    pages.show("TABLE")
    pages.select(*three)
    pages.compare()
    expect(pages.page.get_by_role("heading", name="Comparing 3 Runs from 1 Experiment")).to_be_visible()
    order = [re.sub(r"\s", " ", text) for text in pages.page.locator("th, td").all_inner_texts()]
    names = [text.strip() for text in order if text.strip() in three]
    assert sorted(names) == sorted(three)
    pages.picture("compare")
    differing = pages.differing("Parameters")
    assert {"activation", "activation.derivative_at_zero"} == differing.keys()
    assert differing["activation"] == [name.split()[0].partition("=")[2] for name in names]
    for metric, texts in pages.compared_metrics().items():
        values = [recorded[name][1][metric] for name in names]
        assert [float(text) for text in texts] == pytest.approx([each[max(each)] for each in values], abs=5e-4)
    pages.picture("compare-metrics")
    curves = pages.curves(pages.plot("train/loss", first="best/val_loss"))
    assert curves.keys() == {*three}
    for name in three:
        _assert_drawn(curves[name], recorded[name][1]["train/loss"])
    pages.picture("compare-curves")


def test_a_thousand_runs_are_all_reachable_and_sorted(team_server: TeamServer, pages: MlflowPages) -> None:
    losses = copy_runs(team_server, experiment="thousand", sweep=_SWEEP, count=1000)
    pages.experiment("thousand")
    assert pages.rows() == [_SWEEP]
    pages.unfold(_SWEEP)
    assert len(pages.rows()) > 15
    for hundred in range(2, 11):
        pages.load_more()
        expect(pages.matching()).to_have_text(f"{100 * hundred + 1} matching runs")
    pages.picture("thousand")

    for ascending in (True, False):
        pages.sort_by("final/test_loss", ascending=ascending)
        best = sorted(losses, key=losses.__getitem__, reverse=not ascending)
        expect(pages.page.locator(".ag-row[row-index='0'] a").first).to_have_text(best[0])
        assert pages.rows()[:10] == best[:10]
        pages.picture(f"thousand-sorted-{'up' if ascending else 'down'}")
    pages.show("CHART")
    pages.page.get_by_placeholder("Search metric charts").fill("^train/loss")
    assert len(pages.curves(pages.chart("train/loss"))) == 10
    pages.picture("thousand-curves")
