"""A sweep ends in an answer: tables, pictures, and tags that name the best run."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.text import Text

from nnlab import comparison, frames, journal, runner
from nnlab.journal import Journal, Record
from nnlab.sweep import pictures
from nnlab.sweep.answer import best_run, conclude
from tests.jobs import job
from tests.sweep.fake_runs import fake_run


@pytest.fixture(autouse=True)
def _outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "outputs"))


def concluded(sweep: Path, children: list[Path], *swept: str) -> Record:
    parent = Journal(sweep)
    parent.write("run", run_id="parent", name="sweep", experiment="fake", parent=None, tags={})
    result = conclude(sweep, children, parent, swept)
    assert (result is None) == (not (sweep / "compare.csv").exists())
    parent.close("FINISHED")
    return journal.read(sweep)


def two_settings(sweep: Path) -> list[Path]:
    """relu is better on test in every seed; the best on validation is a tanh run."""
    children = []
    for number, (activation, accuracies) in enumerate({"relu": (0.8, 0.81, 0.82), "tanh": (0.6, 0.62, 0.61)}.items()):
        for seed, accuracy in enumerate(accuracies):
            params = {"activation": activation, "seed": seed}
            children.append(fake_run(sweep / str(3 * number + seed), params, {0: 0.3, 1: 0.5, 2: accuracy}))
    with (sweep / "4" / "journal.jsonl").open("a") as file:
        file.write('{"type":"metrics","timestamp":1,"step":2,"metrics":{"final/val_accuracy":0.99}}\n')
        file.write('{"type":"status","timestamp":2,"status":"FINISHED","reason":null}\n')
    return children


def test_table_sentence_and_pictures_are_written_and_journalled(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    record = concluded(sweep, two_settings(sweep), "activation", "seed")
    assert record.artifacts == ["compare.csv", "compare.md", "plots/curves.png", "plots/metrics.png"]
    table = pd.read_csv(sweep / "compare.csv")
    assert table["activation"].tolist() == ["relu", "tanh"]
    assert table["mean"].tolist() == pytest.approx([0.81, 0.61])
    assert record.tags["nnlab.finding"].startswith("relu beats tanh by ")
    text = (sweep / "compare.md").read_text()
    assert text == f"{record.tags['nnlab.table']}\n\n{record.tags['nnlab.finding']}\n"
    for name in record.artifacts[2:]:
        assert (sweep / name).read_bytes().startswith(b"\x89PNG")


def test_the_best_child_is_chosen_on_validation_and_never_on_test(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    tags = concluded(sweep, two_settings(sweep), "activation", "seed").tags
    assert tags["nnlab.best_child"] == "id-4"
    assert tags["nnlab.best_child_directory"] == "4"
    assert tags["nnlab.best_child_by"] == "final/val_accuracy"


def runs(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"directory": str(number), "status": "FINISHED", **row} for number, row in enumerate(rows)])


def test_equal_validation_accuracies_are_told_apart_by_the_loss() -> None:
    table = runs(
        {"final/val_accuracy": 0.9, "final/val_loss": 0.2, "final/test_accuracy": 1.0},
        {"final/val_accuracy": 0.9, "final/val_loss": 0.1, "final/test_accuracy": 0.0},
        {"final/val_accuracy": 0.9, "final/val_loss": 0.1, "final/test_accuracy": 1.0},
        {"final/val_accuracy": 0.8, "final/val_loss": 0.0, "final/test_accuracy": 1.0},
        {"final/val_accuracy": 1.0, "final/val_loss": 0.0, "status": "KILLED"},
    )
    assert best_run(table) == (Path("1"), "final/val_accuracy")


def test_without_a_validation_part_training_chooses() -> None:
    table = runs(
        {"final/train_accuracy": 0.7, "final/train_loss": 0.1, "final/test_accuracy": 1.0},
        {"final/train_accuracy": 0.9, "final/train_loss": 0.2, "final/test_accuracy": 0.1},
    )
    assert best_run(table) == (Path("1"), "final/train_accuracy")


def test_a_sweep_of_which_nothing_finished_has_no_answer(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    failed = fake_run(sweep / "0", {"seed": 0}, {0: 0.3}, status="FAILED")
    record = concluded(sweep, [failed, sweep / "never begun"], "seed")
    assert (record.tags, record.artifacts) == ({}, [])
    assert concluded(tmp_path / "empty", []).tags == {}


def test_a_second_answer_replaces_the_first(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    children = two_settings(sweep)
    concluded(sweep, children[:3], "seed")
    record = concluded(sweep, children, "activation", "seed")
    assert record.tags["nnlab.best_child"] == "id-4"
    assert len(record.artifacts) == len(set(record.artifacts))
    assert len(pd.read_csv(sweep / "compare.csv")) == 2


def test_a_long_table_is_cut_at_the_end_of_a_line(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    children = [fake_run(sweep / str(n), {"rate": n / 10, "seed": 0}, {0: n / 200}) for n in range(120)]
    record = concluded(sweep, children, "rate")
    table = (sweep / "compare.md").read_text()
    tag = record.tags["nnlab.table"]
    assert 4900 < len(tag) <= 5000
    assert table.startswith(tag + "\n")


def test_trained_runs_in_the_plane_get_their_decision_boundaries(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    jobs = [job("dataset=moons", "training.epochs=2", f"activation={each}") for each in ("tanh", "relu")]
    children = [sweep / str(number) for number in range(2)]
    for each, directory in zip(jobs, children, strict=True):
        runner.run([each], [directory])
    record = concluded(sweep, children, "activation")
    assert "plots/decision_boundaries.png" in record.artifacts
    table = frames.frame(children)
    best = table["final/val_accuracy"].max()
    assert (
        str(sweep / record.tags["nnlab.best_child_directory"])
        in table["directory"][table["final/val_accuracy"] == best].tolist()
    )


def test_a_network_that_cannot_be_loaded_is_named_where_its_boundary_would_be(tmp_path: Path) -> None:
    children = [tmp_path / each for each in ("tanh", "relu")]
    for directory in children:
        runner.run([job("dataset=moons", "training.epochs=2", f"activation={directory.name}")], [directory])
    (children[1] / "checkpoints/epoch-000002/0.bias.npy").write_bytes(b"")
    runs = frames.frame(children)
    figure = dict(pictures.draw(runs, comparison.compare(runs=runs), "sweep"))["decision_boundaries.png"]
    texts = " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))
    assert "no network to load: relu" in texts
    assert "seed 0" in texts
    assert len(figure.axes) == 1
