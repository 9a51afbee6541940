"""Comparison of runs, from journals written by hand."""

import json
import os
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nnlab import findings
from nnlab.cli import main
from nnlab.comparison import compare
from nnlab.errors import NnlabError
from nnlab.frames import find_runs, frame
from nnlab.journal import Journal
from nnlab.tables import as_text


def write_run(
    directory: Path,
    params: dict[str, Any],
    accuracy: float | None,
    experiment: str = "e",
    tags: dict[str, str] | None = None,
    **metrics: float,
) -> Path:
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
            "tags": tags or {},
        },
        {"type": "params", "params": params},
    ]
    if accuracy is not None:
        values = {"final/test_accuracy": accuracy, "lr": params["seed"]}
        values |= {f"final/{name}": value for name, value in metrics.items()}
        lines.append({"type": "metrics", "step": 3, "metrics": values})
    lines.append({"type": "status", "status": "FAILED" if accuracy is None else "FINISHED", "reason": None})
    text = "".join(json.dumps({"timestamp": 1, **line}) + "\n" for line in lines)
    (directory / "journal.jsonl").write_text(text)
    return directory


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
    assert (best["worst"], best["best"], best["n"], best["failed"]) == (0.95, 0.97, 2, 1)
    # 0.96 -+ t(1) = 12.7062 times 0.01414 / sqrt(2)
    assert (best["low"], best["high"]) == pytest.approx((0.96 - 0.127062, 0.96 + 0.127062))
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


def test_statistics_are_those_of_scipy_and_tests_are_paired(outputs: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = {"relu": rng.normal(0.9, 0.02, 7), "tanh": rng.normal(0.93, 0.02, 7)}
    for activation, values in drawn.items():
        for seed, value in enumerate(values):
            write_run(outputs / "runs" / f"{activation}{seed}", {"activation": activation, "seed": seed}, value)
    table = compare()
    assert list(table["activation"]) == ["tanh", "relu"]
    for row in table.to_dict("records"):
        values = drawn[row["activation"]]
        assert row["mean"] == pytest.approx(values.mean())
        assert row["std"] == pytest.approx(statistics.stdev(values))
        interval = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
        assert (row["low"], row["high"]) == pytest.approx(interval)
    theirs = stats.ttest_rel(drawn["tanh"], drawn["relu"])
    (test,) = table.attrs["tests"]
    assert (test["a"], test["b"], test["n"]) == ("tanh", "relu", 7)
    assert test["p"] == test["p_holm"] == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert (test["low"], test["high"]) == pytest.approx((interval.low, interval.high))
    assert table.attrs["seeds"] == list(range(7))
    assert (table.attrs["metric"], table.attrs["settings"]) == ("final/test_accuracy", ["activation"])


def test_a_seed_that_was_run_twice_is_one_sample(outputs: Path) -> None:
    """The same seed gives the same bytes: counting it twice would only make the interval look narrower."""
    for number, (seed, value) in enumerate(((0, 0.8), (1, 0.9), (1, 0.9), (1, 0.9))):
        write_run(outputs / "runs" / str(number), {"seed": seed}, value)
    (row,) = compare().to_dict("records")
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.85))
    assert row["high"] - row["mean"] == pytest.approx(12.7062 * 0.05, rel=1e-5)


def test_by_averages_over_the_rest_within_each_seed(outputs: Path) -> None:
    for seed in range(4):
        for activation in ("relu", "tanh"):
            for lr in (0.1, 0.2):
                value = 0.5 + 0.1 * seed + (0.02 + 0.01 * (seed % 2)) * (activation == "tanh") + lr
                is_missing = (seed, activation, lr) == (3, "tanh", 0.2)
                params = {"activation": activation, "optimizer.lr": lr, "seed": seed}
                write_run(outputs / "runs" / f"{activation}{lr}{seed}", params, None if is_missing else value)
    table = compare(by="activation")
    assert table.attrs["settings"] == ["activation"]
    assert sorted(table["n"]) == [4, 4]
    relu = table[table["activation"] == "relu"].iloc[0]
    assert relu["mean"] == pytest.approx(0.5 + 0.15 + 0.15)
    assert relu["std"] == pytest.approx(statistics.stdev([0.0, 0.1, 0.2, 0.3]))
    assert (relu["best"], relu["worst"]) == pytest.approx((1.0, 0.6))
    (test,) = table.attrs["tests"]  # of seed 3 only lr 0.1 counts, for both
    sign = 1 if test["a"] == "tanh" else -1
    assert (test["n"], sign * test["difference"]) == (4, pytest.approx(0.025))
    assert list(compare(by=["optimizer.lr", "activation"]).columns[:2]) == ["optimizer.lr", "activation"]
    with pytest.raises(NnlabError, match=r"--by optimiser: .*those that differ: activation, optimizer\.lr"):
        compare(by="activation,optimiser")


def test_metric_and_split(outputs: Path) -> None:
    for seed in range(2):
        write_run(outputs / "runs" / str(seed), {"seed": seed}, 0.5, val_accuracy=0.6, val_loss=0.7, train_accuracy=0.8)
    assert compare().attrs["metric"] == "final/test_accuracy"
    assert compare(split="val").attrs["metric"] == "final/val_accuracy"
    assert compare(metric="loss").attrs["metric"] == "final/val_loss"  # the first there is
    assert compare(metric="loss", split="val")["mean"][0] == 0.7
    assert compare(metric="final/train_accuracy")["mean"][0] == 0.8
    with pytest.raises(NnlabError, match="no run has the metric 'final/test_loss'"):
        compare(metric="loss", split="test")
    with pytest.raises(NnlabError, match="--split goes with accuracy or loss"):
        compare(metric="final/val_loss", split="test")


def test_some_sweeps_together_count_each_run_once(sweep: Path, outputs: Path) -> None:
    other = outputs / "sweeps" / "t"
    write_run(other / "0", {"activation": "elu", "optimizer.lr": 0.1, "seed": 0}, 0.7)
    table = compare(sweep, other, sweep / "0", str(sweep))
    assert len(find_runs([sweep, other, sweep / "0", sweep])) == 10
    assert set(table["activation"]) == {"tanh", "relu", "elu"}
    assert table["n"].sum() == 6


def test_blas_threads_and_reruns_make_no_settings(outputs: Path) -> None:
    for seed in range(4):
        write_run(outputs / "runs" / str(seed), {"seed": seed, "training.blas_threads": 1 + seed % 2}, 0.5 + seed / 10)
    write_run(outputs / "runs" / "again", {"seed": 0}, 0.5, tags={"nnlab.reproduces": "0"})
    (row,) = compare().to_dict("records")
    assert row["n"] == 4
    assert len(compare(by="training.blas_threads")) == 2


def test_a_run_under_way_is_neither_counted_nor_failed(outputs: Path) -> None:
    for seed in range(2):
        write_run(outputs / "runs" / str(seed), {"seed": seed}, 0.5)
    directory = write_run(outputs / "runs" / "2", {"seed": 2}, 0.9)
    path = directory / "journal.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    writer = Journal(directory)
    table = compare(experiment="e")
    assert (table["n"][0], table["failed"][0], table.attrs["running"]) == (2, 0, 1)
    writer.release()
    table = compare(experiment="e")
    assert (table["n"][0], table["failed"][0], table.attrs["running"]) == (2, 1, 0)


def test_other_code_and_other_data_are_noted(outputs: Path) -> None:
    for seed in range(2):
        write_run(
            outputs / "runs" / str(seed), {"seed": seed, "dataset": "wine"}, 0.5, tags={"nnlab.code_version": "a"}
        )
    assert compare().attrs["notes"] == []
    directory = write_run(outputs / "runs" / "2", {"seed": 2, "dataset": "wine"}, 0.5, tags={"nnlab.code_version": "b"})
    path = directory / "journal.jsonl"
    path.write_text(path.read_text().replace('"dataset": {}', '"dataset": {"hash": "other"}'))
    code, data = compare().attrs["notes"]
    assert code.startswith("these runs are of 2 versions of nnlab's code")
    assert data.startswith("data of one name differ")


def test_a_sweeps_runs_are_also_those_that_it_refers_to(sweep: Path, outputs: Path) -> None:
    second = outputs / "sweeps" / "second"
    write_run(second / "1", {"activation": "elu", "seed": 0}, 0.7)
    jobs = [{"stands": str(sweep / "0")}, {"stands": None}, {"stands": str(outputs / "gone")}]
    (second / "sweep.json").write_text(json.dumps({"version": 1, "jobs": jobs}))
    assert find_runs([second]) == [second / "1", sweep / "0"]


def test_runs_that_a_sweep_refers_to_and_that_are_gone_are_noted(sweep: Path, outputs: Path) -> None:
    second = outputs / "sweeps" / "second"
    write_run(second / "1", {"activation": "elu", "seed": 0}, 0.7)
    jobs = [{"stands": str(place)} for place in (sweep / "0", outputs / "gone", outputs / "too")]
    (second / "sweep.json").write_text(json.dumps({"version": 1, "jobs": jobs}))
    table = compare(second)
    assert table.attrs["notes"] == ["runs that second refers to and that are gone: 2"]
    assert table["n"].sum() == 2
    shutil.rmtree(second / "1")
    shutil.rmtree(sweep)
    with pytest.raises(NnlabError, match="holds no run, and those that it refers to are gone"):
        compare(second)


def test_jobs_may_lie_deeper_or_outside(outputs: Path) -> None:
    sweep = outputs / "sweeps" / "s"
    places = [sweep / "wine" / "1", sweep / "0", outputs / "far", sweep / "wine" / "0"]
    jobs = [{"directory": str(place)} for place in (*places, sweep / "not" / "begun")] + [{"directory": None}]
    for seed, place in enumerate(places):
        write_run(place, {"seed": seed}, 0.5)
    (sweep / "sweep.json").write_text(json.dumps({"version": 1, "jobs": jobs}))
    assert find_runs([sweep]) == [places[1], places[0], *places[2:]]


def test_a_damaged_journal_is_left_out_and_named(sweep: Path, outputs: Path) -> None:
    (sweep / "0" / "journal.jsonl").write_text("nonsense\n")
    for table in (compare(sweep), compare(experiment="e"), compare()):
        (note,) = table.attrs["notes"]
        assert note.startswith(f"left out: {sweep / '0' / 'journal.jsonl'} is damaged")
        assert table["n"].sum() == 4
    with pytest.raises(NnlabError, match="is damaged"):
        compare(sweep / "0")


def test_a_copy_of_a_run_is_no_further_sample(sweep: Path, outputs: Path) -> None:
    alone = compare(sweep)
    shutil.copytree(sweep / "0", outputs / "runs" / "copy")
    shutil.copytree(sweep / "1", sweep / "a backup of 1")
    table = compare(experiment="e")
    assert list(table["n"]) == list(alone["n"]) == [2, 3, 0]
    assert list(table["std"][:2]) == list(alone["std"][:2])
    notes = sorted(table.attrs["notes"])
    for note, pair in zip(notes, [("0", outputs / "runs" / "copy"), ("1", sweep / "a backup of 1")], strict=True):
        assert note.startswith("left out: ")
        assert {str(sweep / pair[0]), str(pair[1])} == set(
            re.split("left out: |, which has the run id of |: one is", note)[1:3]
        )


def test_a_run_id_that_is_none_of_ours_is_one_like_any_other(sweep: Path) -> None:
    path = sweep / "0" / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(lines[0]), "run_id": ["a", {}]}) + "\n" + "".join(lines[1:]))
    assert list(compare(sweep)["n"]) == [2, 3, 0]


def test_of_a_killed_run_and_its_copy_that_was_finished_the_finished_one_counts(outputs: Path) -> None:
    killed = write_run(outputs / "runs" / "a", {"seed": 0}, 0.5)
    shutil.copytree(killed, outputs / "runs" / "b")
    lines = (killed / "journal.jsonl").read_text().splitlines(keepends=True)
    (killed / "journal.jsonl").write_text("".join(lines[:-1]))
    assert find_runs() == [outputs / "runs" / "b"]


def test_a_journal_that_has_only_begun_says_nothing_about_the_newest_experiment(outputs: Path) -> None:
    for seed, (name, experiment) in enumerate((("a", "old"), ("b", "new"), ("c", "none"))):
        directory = write_run(outputs / "runs" / name, {"seed": seed}, 0.5 + seed / 10, experiment=experiment)
        os.utime(directory / "journal.jsonl", (1000 + seed, 1000 + seed))
    (directory / "journal.jsonl").write_text("")
    assert list(compare()["mean"]) == [0.6]
    with pytest.raises(NnlabError, match="choose from new, old"):
        compare(experiment="none")


def test_an_experiment_that_only_the_store_may_have_says_how(sweep: Path) -> None:
    with pytest.raises(NnlabError, match="ask the MLflow store: nnlab compare --experiment other --filter"):
        compare(experiment="other")
    with pytest.raises(NnlabError, match="without directories"):
        compare(sweep, filter="x")


@pytest.mark.parametrize("form", ["csv", "markdown", "latex", "json"])
def test_machine_formats_print_nothing_else(sweep: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    with pytest.raises(SystemExit):
        main(["compare", str(sweep), "--format", form])
    assert capsys.readouterr().out == as_text(compare(sweep), form) + "\n"


def test_the_command_prints_the_table_and_writes_json(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(sweep), "--json", str(tmp_path / "table.json")])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "0.9600" in printed
    assert "0.8329 to 1.0871" in printed
    assert findings.words(compare(sweep)) in printed
    rows = json.loads((tmp_path / "table.json").read_text())
    assert rows[0]["activation"] == "relu"
    assert rows[0]["mean"] == pytest.approx(0.96)
    assert rows[2]["mean"] is None
