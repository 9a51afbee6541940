"""Section: how many runs and rows a second PostgreSQL and MLflow's server take, and who has the work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Section
from benchmarks.scale import copies, processor_time
from benchmarks.team_server import TeamServer

_OVERRIDES = ["dataset=wine", "training.epochs=60"]
_WORKERS = 4


def measure(trackers: list[int], runs: int) -> Section:
    """Send copies of a run from some outputs roots at once.

    Args:
        trackers: how many of them, one after the other.
        runs: of each.
    """
    section = Section("A run, to the server")
    section.say(
        f"`nnlab sync` of {runs} closed wine runs of 60 epochs each, from so many outputs roots at once, to PostgreSQL",
        f"and `mlflow server --workers {_WORKERS}` with accounts, as `deploy/` starts them, artifacts in a folder; all",
        "on the same cores. Processor time of each part, a run; from the first call to the last.",
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NNLAB_OUTPUTS"] = str(Path(folder) / "none")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        template = copies.template(Path(folder) / "template", [*_OVERRIDES, "tracking.max_points=320"])
        server = TeamServer(Path(folder) / "server", workers=_WORKERS)
        server.folder.mkdir()
        server.start()
        try:
            for count in trackers:
                rows.append(_row(Path(folder) / f"{count}", template, server, count, runs))
                print(rows[-1], flush=True)
        finally:
            server.stop()
    header = ["at once", "runs/s", "rows/s", "server", "PostgreSQL", "trackers", "calls a run", "on the disk, a run"]
    section.table(header, rows)
    return section


def _row(folder: Path, template: Path, server: TeamServer, count: int, runs: int) -> list[str]:
    roots = [folder / f"{number}" for number in range(count)]
    for root in roots:
        for number in range(runs):
            copies.copy(template, root / "runs" / f"{number:04}")
    environment = {**os.environ, **server.client_environment, "MLFLOW_DISABLE_TELEMETRY": "true"}
    points, size, calls = server.points(), server.size(), server.calls()
    pids = server.pids()
    before = {name: processor_time.of(pid) for name, pid in pids.items()}
    own = os.times()
    started = time.perf_counter()
    syncs = [
        subprocess.Popen(
            [sys.executable, "-m", "nnlab", "sync"],
            env={**environment, "NNLAB_OUTPUTS": str(root)},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        for root in roots
    ]
    for sync in syncs:
        said, _ = sync.communicate()
        assert f"{runs} runs are mirrored" in said, said  # noqa: S101
    seconds = time.perf_counter() - started
    used = {name: processor_time.of(pid) - before[name] for name, pid in pids.items()}
    done, now = count * runs, os.times()
    tracking = now.children_user + now.children_system - own.children_user - own.children_system
    return [
        f"{count}",
        f"{done / seconds:.2f}",
        f"{(server.points() - points) / seconds:,.0f}",
        f"{1000 * used['server'] / done:.0f} ms",
        f"{1000 * used['database'] / done:.0f} ms",
        f"{1000 * tracking / done:.0f} ms",
        f"{(server.calls() - calls) / done:.0f}",
        f"{(server.size() - size) / done / 1000:,.0f} kB",
    ]
