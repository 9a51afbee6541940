"""What comparing 10,000 runs costs: from journals without an index, from the index, and through MLflow.

The runs are made up: 500 settings (activation x lr x batch size) of 20 seeds in 10 sweeps, each journal as a run of
wine writes it, 200 epochs. Timed are whole commands, `nnlab compare` from the start of the process to its end, by the
median of a few. For MLflow one of the runs is mirrored, and its rows in a fresh sqlite store are copied for the others
with SQL (all that a search reads: runs, params, tags and last metrics; not every epoch's), because mirroring 10,000
runs takes an hour. Command: `python benchmarks/compare_many.py [--runs 10000] [--rounds 3]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SEEDS, EPOCHS, SWEEPS = 20, 200, 10
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "elu")


def params_of(number: int) -> dict[str, Any]:
    """Return the params of one of the runs, as many as a run has."""
    setting, seed = divmod(number, SEEDS)
    lr, size = 10 ** -(1 + setting // 5 % 10 / 4), 8 * (1 + setting // 50)
    return {
        "dataset": "wine",
        "architecture": "mlp",
        "activation": ACTIVATIONS[setting % 5],
        "loss": "cross_entropy",
        "initializer": "xavier_uniform",
        "optimizer": "sgd",
        "schedule": "constant",
        "tracking": "mlflow",
        "architecture.hidden_sizes": [5, 5],
        "optimizer.lr": lr,
        "training.batch_size": size,
        "seed": seed,
        **{f"training.other_{at}": at for at in range(40)},
    }


def journal_of(number: int, parent: str) -> str:
    """Return a whole journal."""
    params, draw = params_of(number), random.Random(number)
    accuracy = 0.9 + ACTIVATIONS.index(params["activation"]) / 100
    values = {
        f"{split}/{name}": draw.gauss(accuracy, 0.01)
        for split in ("train", "val", "test")
        for name in ("loss", "accuracy")
    }
    run = {
        "type": "run",
        "run_id": f"{number:032x}",
        "name": f"job {number}",
        "experiment": "nnlab-wine",
        "parent": parent,
        "user": "somebody",
        "tracking": {"max_points": 320},
        "overrides": [],
        "epochs": EPOCHS,
        "environment": {"python": "3.11.7", "numpy": "2.4.6", "machine": "Linux x86_64, 2 cores", "command": "nnlab"},
        "tags": {"nnlab.config_hash": "c" * 64, "nnlab.code_version": "d" * 64, "seed": str(params["seed"])},
        "dataset": {
            "name": "wine",
            "hash": "e" * 64,
            "source": "sklearn",
            "samples": 178,
            "features": 13,
            "classes": 3,
            "parts": {"train": 107, "val": 36, "test": 35},
        },
    }
    lines: list[dict[str, Any]] = [
        run,
        {"type": "params", "params": params},
        {"type": "artifact", "path": "config.yaml"},
    ]
    timing = {"lr": params["optimizer.lr"], "time/train_seconds": 0.0009285880005336367, "time/eval_seconds": 0.0003}
    lines += [{"type": "metrics", "step": epoch, "metrics": {**values, **timing}} for epoch in range(EPOCHS + 1)]
    final = {f"final/{name.replace('/', '_')}": value for name, value in values.items()}
    lines += [
        {"type": "metrics", "step": EPOCHS, "metrics": final},
        {"type": "status", "status": "FINISHED", "reason": None},
    ]
    return "".join(json.dumps({"timestamp": 1795279184817 + number, **line}) + "\n" for line in lines)


def make_runs(outputs: Path, runs: int) -> None:
    """Write the journals."""
    for number in range(runs):
        sweep = outputs / "sweeps" / f"sweep-{number * SWEEPS // runs}"
        (sweep / str(number)).mkdir(parents=True)
        (sweep / str(number) / "journal.jsonl").write_text(journal_of(number, sweep.name))


def fill_store(outputs: Path, runs: int) -> None:
    """Mirror the first run, and copy its rows for the others, with their own params and metrics."""
    from nnlab.tracking import store
    from nnlab.tracking.mirror import Mirror

    Mirror(outputs, store.uri(outputs)).run(outputs / "sweeps" / "sweep-0" / "0")
    with sqlite3.connect(outputs / "mlflow.db") as database:
        rows = {table: _rows(database, table) for table in ("runs", "tags", "params", "latest_metrics")}
        for number in range(1, runs):
            params, draw = params_of(number), random.Random(number)
            own = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
            accuracy = draw.gauss(0.9 + ACTIVATIONS.index(params["activation"]) / 100, 0.01)
            for table, of_table in rows.items():
                for row in of_table:
                    new = {**row, "run_uuid": f"{number:032x}"}
                    if table == "params":
                        new["value"] = own[row["key"]]
                    elif table == "latest_metrics" and row["key"].endswith("accuracy"):
                        new["value"] = accuracy
                    elif table == "runs":
                        new["start_time"] = row["start_time"] + number
                    elif table == "tags" and row["key"] == "nnlab.run_id":
                        new["value"] = f"{number:032x}"
                    marks = ",".join("?" * len(new))
                    database.execute(f"INSERT INTO {table} ({','.join(new)}) VALUES ({marks})", list(new.values()))  # noqa: S608


def _rows(database: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


@contextmanager
def serving(outputs: Path) -> Iterator[str]:
    """Serve the store, and give the server's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--backend-store-uri", f"sqlite:///{outputs / 'mlflow.db'}", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "server", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def seconds(outputs: Path, *arguments: str, uri: str = "") -> float:
    """Time one command."""
    started = time.perf_counter()
    environment = {**os.environ, "NNLAB_OUTPUTS": str(outputs), "MLFLOW_TRACKING_URI": uri}
    command = [sys.executable, "-m", "nnlab", "compare", "--format", "csv", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 1  # noqa: S101
    return time.perf_counter() - started


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["MLFLOW_TRACKING_URI"] = ""
    question = ("--filter", "attributes.status = 'FINISHED'")
    with tempfile.TemporaryDirectory() as temporary:
        outputs = Path(temporary)
        make_runs(outputs, options.runs)
        cold, warm = [], []
        for _ in range(options.rounds):
            (outputs / "index.db").unlink(missing_ok=True)
            cold.append(seconds(outputs))
            warm.append(seconds(outputs))
        fill_store(outputs, options.runs)
        store = [seconds(outputs, *question) for _ in range(options.rounds)]
        with serving(outputs) as uri:
            server = [seconds(outputs, *question, uri=uri) for _ in range(options.rounds)]
    print(
        f"| `nnlab compare` of {options.runs} runs, {EPOCHS} epochs each | seconds, median of {options.rounds} | goal |"
    )
    print("| --- | ---: | ---: |")
    print(f"| without an index: every journal read | {statistics.median(cold):.1f} | |")
    print(f"| from the index | {statistics.median(warm):.1f} | 5 |")
    print(f"| `--filter`, MLflow's sqlite store | {statistics.median(store):.1f} | 40 |")
    print(f"| `--filter`, an MLflow server on that store, on this machine too | {statistics.median(server):.1f} | |")


if __name__ == "__main__":
    main()
