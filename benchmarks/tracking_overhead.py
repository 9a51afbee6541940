"""What tracking costs a run: 10 epochs of MNIST with the tracker beside it and with `tracking=none`, interleaved.

Every run is a fresh process with a fresh outputs root, so that the tracker's start-up (importing mlflow, creating the
store's schema) falls into the training. Timed is the wall time from starting the process to the end of training, which
is the journal's last metrics line. Command: `make bench` or `python benchmarks/tracking_overhead.py [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nnlab import locks

TRAIN = [
    *(sys.executable, "-m", "nnlab", "train", "dataset=mnist", "architecture.hidden_sizes=[128,64]", "activation=relu"),
    *("initializer=kaiming_normal", "training.batch_size=128", "training.epochs=10"),
]


def one_run(threads: int | None, *, tracked: bool) -> dict[str, float]:
    """Train once and return seconds to the end of training, % of it spent in recording, and the final wait."""
    with tempfile.TemporaryDirectory() as outputs:
        started = time.time()
        done = subprocess.run(
            [*TRAIN, f"tracking={'mlflow' if tracked else 'none'}", f"training.blas_threads={threads or 'null'}"],
            env={**os.environ, "NNLAB_OUTPUTS": outputs, "MLFLOW_TRACKING_URI": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        (journal,) = Path(outputs).glob("runs/*/journal.jsonl")
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        ended = max(line["timestamp"] for line in lines if line["type"] == "metrics") / 1000
        log = (journal.parent / "train.log").read_text()
        recording = re.search(r"([\d.]+) % of it spent in recording", log)
        waited = re.search(r"mirrored into MLflow, ([\d.]+) s", done.stdout)
        while any(locks.is_locked(path) for path in Path(outputs).glob(".tracker-*.lock")):
            time.sleep(0.1)  # a tracker stays for some seconds; the next run shall not meet it
        return {
            "seconds": ended - started,
            "recording": float(recording[1]) if recording else float("nan"),
            "wait": float(waited[1]) if waited else 0.0,
        }


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of BLAS; default: all cores")
    options = parser.parse_args()
    rounds, threads = options.rounds, options.threads
    results: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for number in range(rounds):
        for tracked in (number % 2 == 0, number % 2 != 0):
            results[tracked].append(one_run(threads, tracked=tracked))
            print(f"round {number + 1} tracked={tracked}: {results[tracked][-1]}", flush=True)
    medians = {
        tracked: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for tracked, runs in results.items()
    }
    print(f"{os.cpu_count()} cores, {threads or 'all'} BLAS threads, medians of {rounds}, interleaved")
    print(f"tracking=none    {medians[False]['seconds']:.2f} s to the end of training")
    ratio = medians[True]["seconds"] / medians[False]["seconds"]
    print(f"tracking=mlflow  {medians[True]['seconds']:.2f} s, {100 * (ratio - 1):+.1f} %")
    pairs = zip(results[True], results[False], strict=True)
    paired = statistics.median(tracked["seconds"] / untracked["seconds"] for tracked, untracked in pairs)
    print(f"median of the {rounds} rounds' own ratios: {100 * (paired - 1):+.1f} %")
    fastest = {tracked: min(run["seconds"] for run in runs) for tracked, runs in results.items()}
    print(f"the fastest of each: {fastest[False]:.2f} s and {fastest[True]:.2f} s")
    print(f"spent in recording calls: {medians[True]['recording']:.2f} % of the training time")
    print(f"final wait until mirrored: {medians[True]['wait']:.1f} s")


if __name__ == "__main__":
    main()
