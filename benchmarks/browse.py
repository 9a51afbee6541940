"""Browse: how long MLflow's UI takes over a large experiment on a team's server, by what appears on the page.

    MLFLOW_TRACKING_URI=... MLFLOW_TRACKING_USERNAME=... MLFLOW_TRACKING_PASSWORD=... \
        python -m benchmarks.browse EXPERIMENT SWEEP RUNS [TRIES]

EXPERIMENT has one sweep, SWEEP by its run name, of RUNS runs. Each try is a new browser without a cache.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect

from benchmarks.mlflow_pages import MlflowPages

_HUNDRED = 100  # runs a page
_Times = dict[str, list[float]]


@contextmanager
def _timed(times: _Times, what: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times.setdefault(what, []).append(time.perf_counter() - begun)


def browse(pages: MlflowPages, experiment: str, sweep: str, runs: int, times: _Times) -> None:
    """Go through an experiment once, as a person would, and add how long each step took."""
    with _timed(times, "the list of experiments, then the experiment, until its first row"):
        pages.experiment(experiment)
    with _timed(times, "the sweep's page, until its runs are listed"):
        pages.page.get_by_role("link", name=sweep).click()
        pages.page.locator("a[href*='/runs/']").nth(9).wait_for()
    pages.experiment(experiment)
    with _timed(times, "unfold the sweep"):
        pages.unfold(sweep)
    with _timed(times, "load the second hundred"):
        pages.load_more()
    with _timed(times, "load all others, hundred by hundred"):
        for _ in range(2, -(-runs // _HUNDRED)):
            pages.load_more()
    said = pages.matching().inner_text()
    with _timed(times, "sort by final/test_loss"):
        pages.sort_by("final/test_loss", ascending=True)
        expect(pages.matching()).not_to_have_text(said)
    with _timed(times, "the charts, until curves of train/loss are drawn"):
        pages.show("CHART")
        pages.page.get_by_placeholder("Search metric charts").fill("^train/loss")
        pages.chart("train/loss")


def main() -> None:
    """Measure, and print a Markdown table."""
    experiment, sweep, runs, *rest = sys.argv[1:]
    times: _Times = {}
    for _ in range(int(rest[0]) if rest else 5):
        with (
            tempfile.TemporaryDirectory() as pictures,
            MlflowPages(
                os.environ["MLFLOW_TRACKING_URI"],
                os.environ["MLFLOW_TRACKING_USERNAME"],
                os.environ["MLFLOW_TRACKING_PASSWORD"],
                Path(pictures),
            ) as pages,
        ):
            browse(pages, experiment, sweep, int(runs), times)
    print("| step | median | fastest | slowest |\n|---|---|---|---|")
    for what, seconds in times.items():
        print(f"| {what} | {statistics.median(seconds):.1f} s | {min(seconds):.1f} s | {max(seconds):.1f} s |")


if __name__ == "__main__":
    main()
