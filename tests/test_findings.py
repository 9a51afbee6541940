"""What a comparison says in words, from runs made up for each case."""

import random
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from nnlab.comparison import compare
from nnlab.findings import labels, words

Values = Sequence[float | None] | Mapping[int, float | None]


def result(settings: Mapping[str, Values], metric: str = "final/test_accuracy") -> pd.DataFrame:
    """Compare runs of some activations, one value a seed; None is a run that failed."""
    rows = [
        {
            "experiment": "e",
            "activation": activation,
            "seed": seed,
            "status": "FAILED" if value is None else "FINISHED",
            metric: value,
        }
        for activation, values in settings.items()
        for seed, value in (values.items() if isinstance(values, Mapping) else enumerate(values))
    ]
    runs = pd.DataFrame(rows)
    runs.attrs["params"] = ["activation", "seed"]
    return compare(metric=metric, runs=runs)


def about(mean: float, spread: float, n: int = 20, seed: int = 0) -> list[float]:
    """Values of exactly that mean and standard deviation."""
    drawn = pd.Series([random.Random(1000 * seed + at).gauss(0, 1) for at in range(n)])
    return (mean + spread * (drawn - drawn.mean()) / drawn.std()).tolist()


def ahead_of(values: Sequence[float], mean: float, spread: float, seed: int = 1) -> list[float]:
    """Values whose differences from others have exactly that mean and standard deviation."""
    return [value + more for value, more in zip(values, about(mean, spread, len(values), seed), strict=True)]


RELU = about(0.95, 0.02)


def test_one_setting_beats_another() -> None:
    # half the width of the interval: t(19) = 2.093 times 0.0064 / sqrt(20) = 0.0030
    said = words(result({"relu": RELU, "tanh": ahead_of(RELU, 0.008, 0.0064)}))
    assert said == "tanh beats relu by 0.8 ± 0.3 points on test/accuracy over 20 seeds"


def test_the_rest_cannot_be_told_apart() -> None:
    tanh = ahead_of(RELU, 0.008, 0.0064)
    said = words(result({"relu": RELU, "tanh": tanh, "gelu": ahead_of(tanh, -0.004, 0.02, seed=2)}))
    assert said == "tanh beats relu by 0.8 ± 0.3 points on test/accuracy over 20 seeds; the rest can't be told apart"


def test_every_pair_differs() -> None:
    tanh = ahead_of(RELU, 0.02, 0.004)
    said = words(result({"relu": RELU, "tanh": tanh, "elu": ahead_of(RELU, 0.01, 0.004, seed=2)}))
    assert said.startswith("tanh beats elu by 1.00 ± 0.27")
    assert (
        " points and relu by 2.00 ± 0.19 points on test/accuracy over 20 seeds; elu beats relu by 1.00 ± 0.19" in said
    )
    assert "told apart" not in said


def test_no_difference_between_two() -> None:
    said = words(result({"relu": RELU, "tanh": ahead_of(RELU, 0.001, 0.01)}))
    assert said == (
        "tanh and relu can't be told apart on test/accuracy: tanh is ahead by 0.1 ± 0.5 points over 20 seeds (p = 0.66)"
    )


def test_no_difference_among_three_names_the_closest_to_one() -> None:
    """An interval that leaves out zero is no difference where the corrected p-value says so."""
    tanh = ahead_of(RELU, 0.0041, 0.0085)  # p = 0.044, twice as much after the correction
    said = words(result({"relu": RELU, "tanh": tanh, "elu": ahead_of(RELU, 0.002, 0.03, seed=3)}))
    assert said.startswith(
        "no two of tanh, elu and relu can be told apart on test/accuracy: tanh is ahead of relu by 0.41 ± 0.40 points "
        "over 20 seeds (p = 0.13 after Holm's correction)"
    )


def test_long_names_are_not_listed() -> None:
    said = words(result({f"{'x' * 30}{at}": ahead_of(RELU, 0.001 * at, 0.03, at) for at in range(3)}))
    assert said.startswith("no two of the best 3 settings can be told apart on test/accuracy: xxx")


def test_a_loss_has_no_points_and_is_better_when_lower() -> None:
    said = words(
        result({"relu": about(0.2, 0.02), "tanh": ahead_of(about(0.2, 0.02), -0.013, 0.008)}, "final/val_loss")
    )
    assert said == "tanh beats relu by 0.013 ± 0.004 on val/loss over 20 seeds"


def test_the_better_one_is_that_on_shared_seeds() -> None:
    """relu has the higher mean, by seeds that tanh has not."""
    tanh = dict(enumerate(ahead_of(RELU, 0.008, 0.0064)))
    compared = result({"relu": {**dict(enumerate(RELU)), **dict.fromkeys(range(100, 140), 0.99)}, "tanh": tanh})
    assert list(compared["activation"]) == ["relu", "tanh"]
    assert words(compared) == "tanh beats relu by 0.8 ± 0.3 points on test/accuracy over 20 seeds"


def test_few_seeds_are_called_few() -> None:
    said = words(result({"relu": [0.9, 0.92, 0.91], "tanh": [0.91, 0.95, 0.9]}))
    assert said.startswith("tanh and relu can't be told apart")
    assert said.endswith("; 3 seeds are few, more would tell more")


def test_no_spread_at_all() -> None:
    assert words(result({"relu": [0.5] * 10, "tanh": [1.0] * 10})) == (
        "tanh beats relu by 50.0 points on test/accuracy on every one of 10 seeds"
    )
    assert words(result({"relu": [0.5] * 3, "tanh": [1.0] * 3})) == (
        "tanh and relu can't be told apart on test/accuracy: tanh is ahead by 50.0 points on every one of 3 seeds (p = "
        "0.25); 3 seeds are few, more would tell more"
    )
    assert words(result({"relu": [1.0] * 9, "tanh": [1.0] * 9})) == (
        "relu and tanh can't be told apart on test/accuracy: no difference on every one of 9 seeds"
    )


def test_shared_seeds_are_missing() -> None:
    assert words(result({"relu": {0: 0.9, 1: 0.8}, "tanh": {2: 0.9, 3: 0.7}})) == (
        "the best settings share fewer than two seeds, so no test can tell them apart"
    )
    said = words(result({"relu": RELU, "tanh": ahead_of(RELU, 0.008, 0.0064), "elu": {100: 0.5, 101: 0.5}}))
    assert said.startswith("tanh beats relu by 0.8 ± 0.3 points on test/accuracy over 20 seeds; ")
    assert said.endswith("; 2 pairs share fewer than two seeds and are not tested")


def test_a_single_seed_is_no_test() -> None:
    assert words(result({"relu": [0.9], "tanh": [0.8]})) == (
        "fewer than two settings have two seeds or more, so no test can tell them apart"
    )
    said = words(result({"relu": RELU, "tanh": ahead_of(RELU, 0.008, 0.0064), "lucky": [1.0]}))
    assert said.endswith("over 20 seeds; not tested: 1 setting with a single seed")


def test_one_setting_alone() -> None:
    # half the width: t(2) = 4.303 times 0.01 / sqrt(3)
    assert words(result({"relu": [0.90, 0.91, 0.92]})) == (
        "one setting, so nothing to compare: test/accuracy 0.91 ± 0.025 over 3 seeds"
    )
    assert words(result({"relu": [0.9]})) == "one setting, so nothing to compare: test/accuracy 0.9 over 1 seed"
    assert words(result({"relu": [0.9, 0.8], "tanh": [None, None]})) == (
        "relu is the only setting with a finished run, so there is nothing to compare"
    )
    assert words(result({"relu": [None], "tanh": [None]})) == "no run has finished, so there is nothing to compare"


def test_failed_runs_are_said() -> None:
    tanh: list[float | None] = [*ahead_of(RELU, 0.008, 0.0064), None, None]
    said = words(result({"relu": RELU, "tanh": tanh}))
    assert said.endswith("over 20 seeds; tanh is judged without its 2 failed runs")


def test_of_many_settings_the_best_are_tested() -> None:
    settings = {f"a{at}": ahead_of(RELU, -0.1 * at, 0.01, at) for at in range(8)}
    said = words(result(settings))
    assert said.count(" by ") == 4
    assert said.startswith("a0 beats a1 by ")
    assert said.endswith("; 6 more of the 10 pairs differ; only the best 5 of 8 settings were tested")


@pytest.mark.parametrize("spread", [0.0001, 0.003, 0.0095])
def test_a_difference_never_looks_smaller_than_its_interval(spread: float) -> None:
    said = words(result({"relu": RELU, "tanh": ahead_of(RELU, 0.0055, spread)}))
    size, half = (float(part) for part in said.partition(" by ")[2].partition(" points")[0].split(" ± "))
    assert size > half > 0


def test_a_loss_whose_spread_is_out_of_range_is_said_all_the_same() -> None:
    said = words(result({"relu": [1e200, 3e200], "tanh": [1e200, 9e200]}, metric="final/test_loss"))
    assert "relu is ahead by 3e+200 ± inf" in said


def test_labels() -> None:
    assert labels(pd.DataFrame({"activation": ["relu", "tanh"]})) == ["relu", "tanh"]
    assert labels(pd.DataFrame({"optimizer.lr": [0.1, 1e-5]})) == ["lr=0.1", "lr=1e-05"]
    assert labels(pd.DataFrame({"activation": ["relu"], "optimizer.lr": [0.1]})) == ["activation=relu lr=0.1"]
    assert labels(pd.DataFrame({"a.lr": [1], "b.lr": [2]})) == ["a.lr=1 b.lr=2"]
    assert labels(pd.DataFrame({"a.size": [32.0, None]})) == ["size=32", "size=null"]
    assert labels(pd.DataFrame({"a": pd.Series([1, "1"], dtype=object)})) == ["a=1", "a=1 (2)"]
