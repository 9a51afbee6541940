"""What a sweep prints of its jobs: few in a table, of many only what went wrong."""

from pathlib import Path

import pytest

from nnlab.index import Entry
from nnlab.sweep import tables
from nnlab.sweep.plan import Planned
from tests.jobs import job


def entry(status: str, reason: str | None = None) -> Entry:
    metrics = {"final/val_accuracy": 0.25, "final/test_accuracy": 0.75}
    return Entry(Path("x"), {}, {}, metrics, {}, status, reason, 1000, 3500)  # type: ignore[arg-type]


def jobs(number: int) -> list[Planned]:
    one = job()
    return [Planned(each, (), f"seed={each}", one) for each in range(number)]


def test_few_jobs_are_shown_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    planned = [*jobs(3), Planned(3, (), "seed=3", None, "seed: it is negative"), Planned(4, (), "seed=4", job())]
    tables.print_jobs(planned, {0: entry("FINISHED"), 1: entry("FAILED", "epoch 3: NaN"), 2: entry("KILLED", "gone")})
    rows = [line.split("\u2502")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("\u2502")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["0", "seed=0", "FINISHED", "0.2500", "0.7500", "2.5", ""],
        ["1", "seed=1", "FAILED", "0.2500", "0.7500", "2.5", "epoch 3: NaN"],
        ["2", "seed=2", "KILLED", "0.2500", "0.7500", "2.5", "gone"],
        ["3", "seed=3", "FAILED", "", "", "", "seed: it is negative"],
        ["4", "seed=4", "FAILED", "", "", "", "it ended before its record began; see its train.log"],
    ]


def test_what_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    named = Planned(0, (), "training.diagnostics=[grad_norm]", job())
    standing = Planned(1, (), "seed=1", job(), stands=Path("[red]/0"))
    tables.print_jobs([named, standing], {0: entry("FAILED", "no [/y] here"), 1: entry("FINISHED")})
    shown = capsys.readouterr().out.replace("\n", " ")
    for text in ("[grad_norm]", "[/y]", "as [red]/0"):
        assert text in shown


def test_of_many_jobs_only_failures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = {number: entry("FINISHED") for number in range(60)} | {7: entry("FAILED", "epoch 3: [NaN]")}
    tables.print_jobs(jobs(60), found)
    assert capsys.readouterr().out.splitlines() == [
        "job 7 (seed=7) FAILED: epoch 3: [NaN]",
        "jobs     59 FINISHED, 1 FAILED",
    ]


def test_the_plan_names_what_cannot_run_and_what_stands(capsys: pytest.CaptureFixture[str]) -> None:
    stands = Planned(1, (), "seed=1", job(), stands=Path("a/b"))
    tables.print_plan([*jobs(1), stands, *(Planned(number, (), "x=1", None, "no") for number in range(2, 50))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "jobs     50, 1 of them finished before; to train: 1"
    assert lines[1] == "job 2 (x=1) can't run: no"
    assert lines[-1] == "... and 8 more can't run"
    assert len(lines) == 42
