"""Plots show the numbers they were given."""

import io
from pathlib import Path

import matplotlib.axes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab import figures, plots


def axes_of(figure: Figure) -> matplotlib.axes.Axes:
    buffer = io.BytesIO()
    figure.savefig(buffer)
    assert buffer.getvalue().startswith(b"\x89PNG")
    return figure.axes[0]


def test_curves_draw_every_split_where_it_has_values() -> None:
    steps = {
        0: {"val/loss": 2.0},
        1: {"train/loss": 1.0, "val/loss": 0.5},
        2: {"train/loss": 0.01, "val/loss": float("nan")},
    }
    axes = axes_of(plots.curves(steps, "loss", "title", best_epoch=1))
    drawn = {str(line.get_label()): np.column_stack(line.get_data()).tolist() for line in axes.lines}
    assert drawn["train (running mean of the epoch)"] == [[1, 1.0], [2, 0.01]]
    assert drawn["val"] == [[0, 2.0], [1, 0.5]]
    assert "best val/loss: epoch 1" in drawn
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "title"


def test_accuracy_and_narrow_losses_are_on_a_linear_scale() -> None:
    steps = {epoch: {"val/loss": 1.0 + epoch, "val/accuracy": 0.01 + epoch / 10} for epoch in range(3)}
    for metric in ("loss", "accuracy"):
        assert axes_of(plots.curves(steps, metric, "")).get_yscale() == "linear"


def test_a_run_without_any_finite_value_still_has_a_picture() -> None:
    assert not axes_of(plots.curves({0: {"val/loss": float("inf")}}, "loss", "")).lines


def test_updates_draw_loss_and_error_over_the_update() -> None:
    figure = plots.updates([(0, 2.0, 0.1), (2, 1.0, 0.75), (4, 0.1, 1.0)], "title")
    upper = axes_of(figure)
    lower = figure.axes[1]
    (loss,), (error,) = upper.lines, lower.lines
    assert np.column_stack(loss.get_data()).tolist() == [[0, 2.0], [2, 1.0], [4, 0.1]]
    assert np.column_stack(error.get_data()).tolist() == [[0, 0.9], [2, 0.25], [4, 0.0]]
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    assert (upper.get_title(), lower.get_xlabel()) == ("title", "update")


def test_updates_with_nan_and_infinities_or_losses_of_zero_have_a_picture() -> None:
    for losses in ((float("nan"), float("inf")), (0.0, 50.0), (2.0, float("nan"))):
        recorded = [(step, loss, 0.5) for step, loss in enumerate(losses)]
        assert axes_of(plots.updates(recorded, "")).get_yscale() == "linear"


def test_confusion_matrix_counts_rows_by_true_class() -> None:
    labels, predictions = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    axes = axes_of(plots.confusion_matrix(labels, predictions, ("no", "yes"), "title"))
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "2", (1, 0): "1", (1, 1): "2"}
    assert np.asarray(axes.images[0].get_array()).tolist() == [[2 / 3, 1 / 3], [0, 1]]


def test_confusion_matrix_has_a_column_for_an_output_beyond_the_classes() -> None:
    axes = axes_of(plots.confusion_matrix(np.array([0, 1]), np.array([0, 2]), ("a", "b"), ""))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "2"]


def test_decision_boundary_asks_for_a_grid_around_the_samples() -> None:
    asked: list[NDArray[np.float64]] = []

    def right_half(x: NDArray[np.float64]) -> NDArray[np.int64]:
        asked.append(x)
        return (x[:, 0] > 1).astype(np.int64)

    points = {"train": (np.array([[0.0, 0.0], [2.0, 1.0]]), np.array([0, 1]))}
    axes = axes_of(plots.decision_boundary(right_half, points, ("a", "b"), "", margin=0.5, across=11))
    (grid,) = asked
    assert grid.shape == (121, 2)
    assert grid.min(axis=0).tolist() == [-0.5, -0.5]
    assert grid.max(axis=0).tolist() == [2.5, 1.5]
    assert axes.get_xlabel() == "a"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3000), st.integers(10, 500), st.integers(0, 2**32 - 1))
def test_a_thinned_line_has_both_ends_and_reaches_as_far(length: int, points: int, seed: int) -> None:
    x, y = np.arange(length), np.random.default_rng(seed).normal(size=length)
    kept, values = figures.thinned(x, y, points)
    assert len(kept) <= max(points, 1) or len(kept) == length <= points
    assert {kept[0], kept[-1]} == {0, length - 1}
    assert (np.diff(kept) > 0).all()
    assert (y[kept] == values).all()
    assert {values.min(), values.max()} == {y.min(), y.max()}


def test_a_long_line_is_drawn_with_its_spikes() -> None:
    losses = np.ones(100_000)
    losses[54_321] = 5.0
    axes = axes_of(plots.updates([(step, loss, 0.5) for step, loss in enumerate(losses)], ""))
    x, y = (np.asarray(each) for each in axes.lines[0].get_data())
    assert len(x) < 2100
    assert x[y == 5.0].tolist() == [54_321]
    assert (x[0], x[-1]) == (0, 99_999)


@pytest.mark.parametrize(("low", "high", "scale"), [(1.0, 9.0, "linear"), (1.0, 11.0, "log"), (-1.0, 11.0, "linear")])
def test_a_decade_makes_a_log_scale_with_labels_that_can_be_read(low: float, high: float, scale: str) -> None:
    axes = axes_of(plots.curves({0: {"val/loss": low}, 1: {"val/loss": high}}, "loss", ""))
    assert axes.get_yscale() == scale
    bottom, top = axes.get_ylim()
    within = [label.get_text() for label in axes.get_yticklabels() if bottom <= label.get_position()[1] <= top]
    assert len(within) >= 2
    assert not any("$" in text for text in within)


def test_a_long_title_is_broken_and_dollars_are_no_formula() -> None:
    name = "loss of activation=leaky_relu optimizer.lr=0.001 architecture.hidden_sizes=[128,64] $a$ seed=31"
    figure = plots.curves({0: {"val/loss": 1.0}, 1: {"val/loss": 2.0}}, "loss", name)
    axes = axes_of(figure)
    assert axes.get_title().replace("\n", " ") == name.replace("$", r"\$")
    room = axes.title.get_window_extent()
    assert 0 <= room.x0 < room.x1 <= figure.bbox.width
    assert room.y1 <= figure.bbox.height


@pytest.mark.parametrize("names", [("0", "1"), ("T-shirt/top", "Ankle boot"), ("a" * 60, "b" * 60)])
def test_all_names_of_a_confusion_matrix_are_inside_the_picture(names: tuple[str, str]) -> None:
    figure = plots.confusion_matrix(np.array([0, 1]), np.array([0, 1]), names, f"run seed=3\n{'word ' * 12}")
    axes = axes_of(figure)
    for text in [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label, axes.title]:
        room = text.get_window_extent()
        assert min(room.x0, room.y0) >= 0, text
        assert (room.x1 <= figure.bbox.width, room.y1 <= figure.bbox.height) == (True, True), text


def test_a_saved_figure_is_a_png_of_its_size(tmp_path: Path) -> None:
    figures.save(plots.curves({0: {"val/loss": 1.0}}, "loss", ""), tmp_path / "loss.png")
    header = (tmp_path / "loss.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert (int.from_bytes(header[16:20]), int.from_bytes(header[20:24])) == (840, 528)
