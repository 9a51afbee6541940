"""Comparison of runs, from journals written by hand."""

import json
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nnlab.cli import main
from nnlab.comparison import compare, find_runs, frame
from nnlab.errors import NnlabError


def write_run(directory: Path, params: dict[str, Any], accuracy: float | None, experiment: str = "e") -> None:
    directory.mkdir(parents=True)
    lines: list[dict[str, Any]] = [
        {
            "type": "run",
            "run_id": str(directory),
            "name": "n",
            "experiment": experiment,
            "parent": None,
            "dataset": {},
            "user": "me",
            "tracking": None,
            "tags": {},
        },
        {"type": "params", "params": params},
    ]
    if accuracy is not None:
        lines.append({"type": "metrics", "step": 3, "metrics": {"final/test_accuracy": accuracy, "lr": params["seed"]}})
    lines.append({"type": "status", "status": "FAILED" if accuracy is None else "FINISHED", "reason": None})
    text = "".join(json.dumps({"timestamp": 1, **line}) + "\n" for line in lines)
    (directory / "journal.jsonl").write_text(text)


@pytest.fixture
def sweep(outputs: Path) -> Path:
    directory = outputs / "sweeps" / "s"
    scores: dict[tuple[str, float], list[float | None]] = {
        ("tanh", 0.1): [0.9, 0.8, 0.85],
        ("relu", 0.1): [0.95, 0.97, None],
        ("relu", 0.2): [None, None, None],
    }
    number = 0
    for (activation, lr), values in scores.items():
        for seed, accuracy in enumerate(values):
            extra = {"activation.derivative_at_zero": 0} if activation == "relu" else {}
            params = {
                "activation": activation,
                **extra,
                "optimizer.lr": lr,
                "seed": seed,
                "tracking.max_points": number,
            }
            write_run(directory / str(number), params, accuracy)
            number += 1
    return directory


def test_groups_by_what_differs_except_the_seed(sweep: Path) -> None:
    table = compare(sweep)
    assert list(table.columns[:2]) == ["activation", "optimizer.lr"]
    assert list(zip(table["activation"], table["optimizer.lr"], strict=True)) == [
        ("relu", 0.1),
        ("tanh", 0.1),
        ("relu", 0.2),
    ]
    best, second, failed = (row for _, row in table.iterrows())
    assert best["mean"] == pytest.approx(0.96)
    assert best["std"] == pytest.approx(statistics.stdev([0.95, 0.97]))
    assert (best["min"], best["max"], best["n"], best["failed"]) == (0.95, 0.97, 2, 1)
    assert second["mean"] == pytest.approx(0.85)
    assert (second["n"], second["failed"]) == (3, 0)
    assert (failed["n"], failed["failed"]) == (0, 3)
    assert pd.isna(failed["mean"])


def test_a_loss_is_sorted_the_other_way(outputs: Path) -> None:
    for number, value in enumerate((0.5, 0.2)):
        write_run(outputs / "runs" / str(number), {"optimizer.lr": number, "seed": 0}, value)
        path = outputs / "runs" / str(number) / "journal.jsonl"
        path.write_text(path.read_text().replace("final/test_accuracy", "final/test_loss"))
    assert list(compare(metric="final/test_loss")["mean"]) == [0.2, 0.5]


def test_jobs_of_a_sweep_come_in_their_order(outputs: Path) -> None:
    for number in range(12):
        write_run(outputs / "sweeps" / "s" / str(number), {"seed": number}, 0.5)
    assert [path.name for path in find_runs([outputs / "sweeps" / "s"])] == [str(number) for number in range(12)]
    assert list(frame(find_runs([outputs / "sweeps" / "s"]))["seed"]) == list(range(12))


def test_without_a_directory_the_newest_runs_experiment_is_compared(outputs: Path) -> None:
    write_run(outputs / "runs" / "a", {"seed": 0}, 0.5, experiment="old")
    write_run(outputs / "runs" / "b", {"seed": 0}, 0.7, experiment="new")
    assert list(compare()["mean"]) == [0.7]
    assert list(compare(experiment="old")["mean"]) == [0.5]
    with pytest.raises(NnlabError, match="choose from new, old"):
        compare(experiment="nope")
    with pytest.raises(NnlabError, match="choose from final/test_accuracy"):
        compare(metric="final/nope")


def test_the_command_prints_the_table_and_writes_json(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(sweep), "--json", str(tmp_path / "table.json")])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "0.9600" in printed
    assert "0.9500 to 0.9700" in printed
    rows = json.loads((tmp_path / "table.json").read_text())
    assert rows[0]["activation"] == "relu"
    assert rows[0]["mean"] == pytest.approx(0.96)
    assert rows[2]["mean"] is None
