"""A comparison as text for other programs, read back by them or compared with what was written by hand."""

import csv
import io
import json

import pandas as pd
import pytest

from nnlab.comparison import compare
from nnlab.tables import as_text, notes, print_comparison

METRIC = "final/test_accuracy"


def compared(metric: str = METRIC, factor: float = 1.0) -> pd.DataFrame:
    values: dict[str | None, list[float | None]] = {"a|b_c": [0.5, 0.75, 1.0], "50%": [0.25, 0.5, None], None: [None]}
    rows = [
        {
            "activation": name,
            "seed": seed,
            "status": "FINISHED" if value else "FAILED",
            metric: value and value * factor,
        }
        for name, of_name in values.items()
        for seed, value in enumerate(of_name)
    ]
    runs = pd.DataFrame(rows).astype({metric: float})
    runs.attrs["params"] = ["activation", "seed"]
    return compare(metric=metric, runs=runs)


def test_a_mean_that_is_out_of_range_is_shown_all_the_same() -> None:
    result = compared("final/test_loss", factor=1.79e308)
    assert "| a\\|b_c | inf |" in as_text(result, "markdown")
    print_comparison(result)


def test_csv_has_every_digit() -> None:
    result = compared()
    rows = list(csv.DictReader(io.StringIO(as_text(result, "csv"))))
    assert [row["activation"] for row in rows] == ["a|b_c", "50%", ""]
    assert [int(row["n"]) for row in rows] == [3, 2, 0]
    assert float(rows[0]["low"]) == result["low"][0]
    assert list(rows[0]) == ["activation", "mean", "low", "high", "std", "best", "worst", "n", "failed"]


def test_json_is_strict_and_carries_the_tests() -> None:
    result = compared()
    rows = json.loads(as_text(result, "json"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [row["activation"] for row in rows] == ["a|b_c", "50%", None]
    assert rows[0]["high"] == result["high"][0]
    assert rows[0]["metric"] == METRIC
    assert rows[0]["tests"] == result.attrs["tests"]
    assert rows[1]["tests"] == []
    assert (rows[2]["mean"], rows[2]["n"], rows[2]["failed"]) == (None, 0, 1)


def test_markdown() -> None:
    # 0.75 -+ t(2) = 4.302653 times 0.25 / sqrt(3); 0.375 -+ t(1) = 12.706205 times 0.125
    assert as_text(compared(), "markdown").splitlines() == [
        "| activation | mean | 95 % interval | std | best | worst | seeds | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| a\\|b_c | 0.7500 | 0.1290 to 1.3710 | 0.2500 | 1.0000 | 0.5000 | 3 | 0 |",
        "| 50% | 0.3750 | -1.2133 to 1.9633 | 0.1768 | 0.5000 | 0.2500 | 2 | 1 |",
        "| null |  |  |  |  |  | 0 | 1 |",
    ]


def test_latex() -> None:
    assert as_text(compared(), "latex").splitlines() == [
        r"\begin{tabular}{lrrrrrrr}",
        r"\toprule",
        r"activation & mean & 95 \% interval & std & best & worst & seeds & failed \\",
        r"\midrule",
        r"a|b\_c & 0.7500 & 0.1290 to 1.3710 & 0.2500 & 1.0000 & 0.5000 & 3 & 0 \\",
        r"50\% & 0.3750 & -1.2133 to 1.9633 & 0.1768 & 0.5000 & 0.2500 & 2 & 1 \\",
        r"null &  &  &  &  &  & 0 & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("factor", "mean"), [(1e-6, "0.0000003750"), (1.0, "0.3750"), (1000.0, "375.0"), (1e6, "375000")]
)
def test_a_metric_without_a_scale_of_its_own_gets_four_figures(factor: float, mean: str) -> None:
    assert f"| {mean} |" in as_text(compared("time/train_seconds", factor), "markdown")


def test_the_terminal_shows_settings_tests_words_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    result = compared()
    result.attrs["notes"].append("[red]mind[/red] the gap")
    result.attrs["running"] = 2
    print_comparison(result)
    printed = capsys.readouterr().out
    assert "│ a|b_c      │ 0.7500 │  0.1290 to 1.3710 │" in printed
    assert "│ activation=a|b_c - activation=50% │" in printed
    assert "can't be told apart on test/accuracy" in printed
    assert printed.endswith("[red]mind[/red] the gap\nleft out: 2 still running\n")
    assert notes(result)[-1] == "left out: 2 still running"
