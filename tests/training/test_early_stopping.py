import re

import numpy as np
import pytest

from nnlab.training import EarlyStopping


def watch(values: list[float], monitor: str = "val/loss", patience: int = 2, min_delta: float = 0.0) -> list[str]:
    """What a lone run is told, an epoch each: i(mproved), s(top) or - for neither."""
    stopping = EarlyStopping(1, patience=patience, monitor=monitor, min_delta=min_delta)
    told = [stopping.observe(epoch, {monitor: np.array([value])}) for epoch, value in enumerate(values)]
    return ["i" if improved[0] else "s" if stop[0] else "-" for improved, stop in told]


def test_it_stops_after_patience_evaluations_without_improvement() -> None:
    assert watch([3, 2, 2, 1, 1.5, 1.2, 0.5]) == ["i", "i", "-", "i", "-", "s", "i"]
    assert watch([3, 2, 2, 1], patience=1) == ["i", "i", "s", "i"]


def test_accuracies_are_to_rise() -> None:
    assert watch([0.1, 0.2, 0.15, 0.2, 0.3], "val/accuracy") == ["i", "i", "-", "s", "i"]


def test_improvements_of_min_delta_or_less_do_not_count() -> None:
    assert watch([3, 2.75, 2.5, 2.25, 1], min_delta=0.5) == ["i", "-", "s", "i", "i"]


def test_nan_is_no_improvement_and_an_epoch_without_the_metric_does_not_count() -> None:
    assert watch([3, float("nan"), float("nan")]) == ["i", "-", "s"]
    stopping = EarlyStopping(1, patience=1)
    stopping.observe(0, {"val/loss": np.array([1.0])})
    assert not stopping.observe(1, {"train/loss": np.array([9.0])})[1]
    assert stopping.observe(2, {"val/loss": np.array([1.0])})[1]


def test_each_replica_is_watched_for_itself() -> None:
    stopping = EarlyStopping(3, patience=1)
    stopping.observe(0, {"val/loss": np.array([1.0, 1.0, 1.0])})
    improved, stop = stopping.observe(1, {"val/loss": np.array([0.5, 2.0, np.nan])})
    assert (improved.tolist(), stop.tolist()) == ([True, False, False], [False, True, True])
    assert stopping.reason(1) == "no better val/loss since epoch 0"
    assert stopping.state_dict(0) == {"monitor": "val/loss", "best": 0.5, "best_epoch": 1, "waited": 0}


@pytest.mark.parametrize(
    ("patience", "min_delta", "message"),
    [(0, 0.0, "patience must be at least 1, got 0"), (1, -0.5, "min_delta must be at least 0, got -0.5")],
)
def test_what_it_refuses(patience: int, min_delta: float, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        EarlyStopping(1, patience=patience, min_delta=min_delta)
