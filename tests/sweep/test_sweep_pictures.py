"""A sweep's pictures show the numbers of its runs."""

import io
from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from nnlab import comparison, frames
from nnlab.journal import Status
from nnlab.sweep import maps, pictures, plots
from nnlab.sweep.maps import Panel
from nnlab.sweep.plots import Bundle, Finals
from tests.sweep.fake_runs import fake_run


def rendered(figure: Figure) -> list[matplotlib.axes.Axes]:
    figure.savefig(io.BytesIO())
    return figure.axes


@pytest.fixture(autouse=True)
def _outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNLAB_OUTPUTS", str(tmp_path / "outputs"))


def drawn(children: list[Path]) -> dict[str, Figure]:
    runs = frames.frame(children)
    return dict(pictures.draw(runs, comparison.compare(runs=runs), "sweep"))


def lines(axes: matplotlib.axes.Axes) -> list[list[list[float]]]:
    return [np.column_stack(line.get_data()).tolist() for line in axes.lines if len(line.get_xdata())]  # type: ignore[arg-type]


def test_a_learning_curve_is_the_median_of_the_seeds_in_a_band_of_their_middle_half() -> None:
    values = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7], [0.4, 0.8], [0.9, 0.9]])
    (axes,) = rendered(plots.learning_curves({"val/accuracy": {"relu": Bundle(np.array([0, 10]), values)}}, "title"))
    assert lines(axes) == [[[0, 0.3], [10, 0.7]]]
    (band,) = axes.collections
    corners = np.asarray(band.get_paths()[0].to_polygons()[0]).tolist()
    assert all(corner in corners for corner in ([0, 0.2], [0, 0.4], [10, 0.6], [10, 0.8]))


def test_learning_curves_name_their_settings_and_have_no_band_around_a_lone_run() -> None:
    bundle = Bundle(np.arange(3), np.array([[3.0, 2.0, 1.0]]))
    figure = plots.learning_curves({"val/loss": {"relu": bundle, "a $b$ c": bundle}}, "title")
    (axes,) = rendered(figure)
    assert not axes.collections
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["relu", r"a \$b\$ c"]


def test_final_metrics_show_runs_mean_and_interval_of_each_setting() -> None:
    finals = {"relu": Finals(np.array([0.7, 0.9]), 0.8, 0.6, 1.0), "tanh": Finals(np.array([]), *3 * [np.nan])}
    (axes,) = rendered(plots.final_metrics({"final/test_accuracy": finals}, {"tanh": "  (all 2 failed)"}, "title"))
    (dots,) = [each for each in axes.collections if isinstance(each, PathCollection)]
    assert np.asarray(dots.get_offsets())[:, 0].tolist() == [0.7, 0.9]
    assert [[0.6, 0], [1.0, 0]] in lines(axes)
    assert [[0.8, 0]] in lines(axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["relu", "tanh  (all 2 failed)"]


def test_a_heat_map_has_a_number_in_each_place_that_has_one() -> None:
    values = np.array([[0.5, np.nan, 0.7], [0.8, 0.9, 1.0]])
    figure = maps.heatmap(values, ("lr", [0.1, 1]), ("beta", [0, 1e-5, 1]), "m", "title", lower_is_better=False)
    axes, _ = rendered(figure)
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0.500", (2, 0): "0.700", (0, 1): "0.800", (1, 1): "0.900", (2, 1): "1.000"}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1e-05", "1"]
    assert axes.get_ylabel() == "lr"


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (3, 3), (7, 4), (13, 5)])
def test_decision_boundaries_are_side_by_side_without_overlap(count: int, columns: int) -> None:
    x = np.array([[0.0, 0.0], [2.0, 1.0]])
    panel = Panel("tanh\nseed 0", lambda z: (z[:, 0] > 1).astype(np.int64), {"train": (x, np.array([0, 1]))})
    axes = rendered(maps.decision_boundaries([panel] * count, "title"))
    rooms = [each.get_position() for each in axes]
    assert len(rooms) == count
    assert len({round(room.x0, 6) for room in rooms}) == columns
    assert all(0 <= room.x0 < room.x1 <= 1 and 0 <= room.y0 < room.y1 < 0.95 for room in rooms)
    assert not any(a.overlaps(b) for a in rooms for b in rooms if a is not b)


def test_a_run_that_stopped_early_keeps_its_last_value(tmp_path: Path) -> None:
    children = [
        fake_run(tmp_path / "0", {"seed": 0}, {0: 0.1, 1: 0.5}),
        fake_run(tmp_path / "1", {"seed": 1}, {0: 0.3, 1: 0.7, 2: 0.9, 4: 1.0}),
    ]
    _, accuracy = rendered(drawn(children)["curves.png"])
    assert accuracy.get_ylabel() == "val/accuracy"
    assert np.allclose(lines(accuracy)[0], [[0, 0.2], [1, 0.6], [2, 0.7], [4, 0.75]])


def test_curves_come_from_the_journal_where_the_history_is_gone(tmp_path: Path) -> None:
    child = fake_run(tmp_path / "0", {"seed": 0}, {0: 0.1, 1: 0.5, 2: 0.25})
    (child / "history.csv").unlink()
    _, accuracy = rendered(drawn([child])["curves.png"])
    assert lines(accuracy) == [[[0, 0.1], [1, 0.5], [2, 0.25]]]


def test_long_runs_are_thinned_but_end_where_they_end(tmp_path: Path) -> None:
    child = fake_run(tmp_path / "0", {"seed": 0}, {epoch: epoch / 5000 for epoch in range(4501)})
    _, accuracy = rendered(drawn([child])["curves.png"])
    (line,) = lines(accuracy)
    assert len(line) <= 300
    assert (line[0], line[-1]) == ([0, 0.0], [4500, 0.9])
    assert np.allclose(np.array(line)[:, 0] / 5000, np.array(line)[:, 1])


def test_without_a_validation_part_the_training_is_shown(tmp_path: Path) -> None:
    axes = rendered(drawn([fake_run(tmp_path / "0", {"seed": 0}, {1: 0.5, 2: 0.6}, split="train")])["curves.png"])
    assert [each.get_ylabel() for each in axes] == ["train/loss", "train/accuracy"]


def test_failed_runs_are_counted_and_not_drawn(tmp_path: Path) -> None:
    rates = {"0": 0.1, "1": 0.1, "2": 10.0}
    statuses: tuple[Status, ...] = ("FINISHED", "FAILED", "KILLED")
    children = [
        fake_run(tmp_path / name, {"optimizer.lr": rate, "seed": int(name)}, {0: 0.1, 1: 0.5}, status=status)
        for (name, rate), status in zip(rates.items(), statuses, strict=True)
    ]
    figures = drawn(children)
    axes, _ = rendered(figures["metrics.png"])
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["lr=0.1  (1 failed)", "lr=10  (all 1 failed)"]
    assert len(lines(rendered(figures["curves.png"])[0])) == 1


def test_what_is_left_out_of_a_picture_is_said(tmp_path: Path) -> None:
    children = [fake_run(tmp_path / str(n), {"activation": f"a{n}", "seed": 0}, {0: 0.1, 1: n / 20}) for n in range(12)]
    figure = drawn(children)["curves.png"]
    axes = rendered(figure)[0]
    assert len(figure.legends[0].get_texts()) == len(lines(axes)) == 10
    assert "the best 10 of 12 settings by final/test_accuracy" in axes.get_title().replace("\n", " ")
    assert figure.legends[0].get_texts()[0].get_text() == "a11"


@pytest.mark.parametrize(
    ("params", "has_map"),
    [
        ([{"lr": 0.1, "decay": 0}, {"lr": 0.1, "decay": 1e-4}, {"lr": 1.0, "decay": 0}], True),
        (
            [{"lr": 0.1, "activation": "tanh"}, {"lr": 1.0, "activation": "relu"}, {"lr": 1.0, "activation": "tanh"}],
            False,
        ),
        ([{"lr": 0.1, "wrap": True}, {"lr": 1.0, "wrap": False}, {"lr": 1.0, "wrap": True}], False),
        ([{"lr": 0.1, "batch": None}, {"lr": 1.0, "batch": 32}, {"lr": 1.0, "batch": None}], False),
        ([{"lr": 0.1}, {"lr": 1.0}], False),
    ],
)
def test_two_swept_numbers_have_a_heat_map(tmp_path: Path, params: list[dict[str, object]], has_map: bool) -> None:
    children = [fake_run(tmp_path / str(n), {**each, "seed": 0}, {0: 0.1, 1: n / 4}) for n, each in enumerate(params)]
    figures = drawn(children)
    assert ("heatmap.png" in figures) == has_map
    if has_map:
        axes, _ = rendered(figures["heatmap.png"])
        texts = {text.get_position(): text.get_text() for text in axes.findobj(Text) if text in axes.texts}
        assert texts == {(0, 0): "0.000", (1, 0): "0.250", (0, 1): "0.500"}
