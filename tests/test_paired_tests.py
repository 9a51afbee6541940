"""Paired tests, against published and hand-computed numbers, scipy's own functions and counted false alarms."""

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from nnlab.paired_tests import Samples, holm, paired_tests, seed_means, t_interval

# Student (1908): hours of sleep gained by ten patients with two drugs. R's t.test(..., paired = TRUE) gives
# t = -4.0621, df = 9, p-value = 0.002833, 95 percent confidence interval -2.4598858 -0.7001142.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

accuracies = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=12)


def samples(values: Sequence[float] | Mapping[int, float]) -> Samples:
    """One value a seed."""
    by_seed = values if isinstance(values, Mapping) else dict(enumerate(values))
    return {seed: {(): value} for seed, value in by_seed.items()}


def test_students_own_example() -> None:
    (test,) = paired_tests({"first": samples(FIRST), "second": samples(SECOND)})
    assert (test["a"], test["b"], test["n"]) == ("first", "second", 10)
    assert test["difference"] == pytest.approx(-1.58)
    assert test["p"] == test["p_holm"] == pytest.approx(0.002833, abs=5e-7)
    assert (test["low"], test["high"]) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_interval_of_a_mean_by_hand() -> None:
    # mean 2, standard deviation 1, t(2) = 4.302653 at 97.5 %
    assert t_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert all(math.isnan(end) for end in t_interval(np.array([0.5])))
    assert all(math.isnan(end) for end in t_interval(np.array([])))
    assert t_interval(np.array([0.5, 0.5])) == (0.5, 0.5)


@settings(deadline=None, max_examples=50)
@given(accuracies, st.randoms())
def test_agrees_with_scipy(values: list[float], random: object) -> None:
    other = [1 - value**2 for value in values]
    spread = statistics.stdev([a - b for a, b in zip(values, other, strict=True)])
    assume(spread > 1e-6)
    (test,) = paired_tests({"a": samples(values), "b": samples(other)})
    theirs = stats.ttest_rel(values, other)
    interval = theirs.confidence_interval(0.95)
    assert test["p"] == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)
    assert (test["low"], test["high"]) == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-12)
    if statistics.stdev(values) > 1e-6:
        theirs = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert t_interval(np.array(values)) == pytest.approx(theirs, rel=1e-9)


def test_seeds_are_paired_by_what_they_are_and_not_by_their_order() -> None:
    reordered = dict(reversed(list(enumerate(SECOND))))
    (test,) = paired_tests({"first": samples(FIRST), "second": samples(reordered)})
    assert test["p"] == pytest.approx(0.002833, abs=5e-7)


def test_only_shared_seeds_count() -> None:
    more = {**dict(enumerate(SECOND)), 77: 1000.0}
    (test,) = paired_tests({"first": samples({**dict(enumerate(FIRST)), -1: 500.0}), "second": samples(more)})
    assert test["n"] == 10
    assert test["difference"] == pytest.approx(-1.58)


def test_a_pair_that_shares_too_few_seeds_is_no_test_and_does_not_count() -> None:
    tests = paired_tests(
        {"a": samples(FIRST), "b": samples(SECOND), "c": samples({0: 1.0, 100: 2.0}), "d": samples({200: 1.0, 201: 1})}
    )
    made = [test for test in tests if test["p"] is not None]
    assert [(test["a"], test["b"]) for test in made] == [("a", "b")]
    assert made[0]["p_holm"] == made[0]["p"]
    assert {(test["a"], test["b"]): test["n"] for test in tests if test["p"] is None} == {
        (one, other): int(other == "c") for one, other in ("ac", "ad", "bc", "bd", "cd")
    }
    assert all(test[name] is None for test in tests[1:] for name in ("difference", "low", "high", "p", "p_holm"))


def test_runs_of_one_seed_are_one_sample() -> None:
    """Averaged over lr on those values that both have: 0.2 is missing in b, and must not count in a."""
    a: Samples = {seed: {0.1: first, 0.2: first + 100} for seed, first in enumerate(FIRST)}
    b: Samples = {seed: {0.1: second} for seed, second in enumerate(SECOND)}
    (test,) = paired_tests({"a": a, "b": b})
    assert test["n"] == 10
    assert test["p"] == pytest.approx(0.002833, abs=5e-7)
    doubled: Samples = {seed: {0.1: second, 0.2: second + 100} for seed, second in enumerate(SECOND)}
    (test,) = paired_tests({"a": a, "b": doubled})
    assert (test["n"], test["p"]) == (10, pytest.approx(0.002833, abs=5e-7))
    assert seed_means(a) == pytest.approx(np.array(FIRST) + 50)


@pytest.mark.parametrize(("n", "p"), [(2, 0.5), (3, 0.25), (6, 1 / 32), (20, 2**-19)])
def test_a_difference_without_spread_is_judged_by_its_sign(n: int, p: float) -> None:
    a = [0.1 * seed for seed in range(n)]
    (test,) = paired_tests({"a": samples([value + 0.3 for value in a]), "b": samples(a)})  # equal up to rounding
    assert test["p"] == p
    assert test["p"] == pytest.approx(stats.binomtest(n, n, 0.5).pvalue)
    assert test["low"] == test["high"] == pytest.approx(0.3)


def test_equal_settings_do_not_differ() -> None:
    (test,) = paired_tests({"a": samples(FIRST), "b": samples(FIRST)})
    assert (test["difference"], test["p"], test["p_holm"]) == (0, 1, 1)


def test_holm_by_hand() -> None:
    # sorted: 4 x 0.005, 3 x 0.01, 2 x 0.03, then 0.04, which may not fall below 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_its_step_down_rule_rejects(p_values: list[float], level: float) -> None:
    rejected = set()
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[at] * (len(p_values) - rank) >= level:
            break
        rejected.add(at)
    assert {at for at, p in enumerate(holm(p_values)) if p < level} == rejected


@pytest.mark.parametrize("settings_", [2, 5, 20])
def test_false_alarms_among_the_best_of_equal_settings(settings_: int) -> None:
    """At most 5 % of comparisons of equal settings name a difference, though the best five are chosen by their means.

    Of 500 comparisons, with five standard deviations on top.
    """
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(500):
        drawn = rng.standard_normal((settings_, 10)) + rng.standard_normal(10)
        best = sorted(drawn, key=lambda values: -float(values.mean()))[:5]
        tests = paired_tests({str(at): samples(values.tolist()) for at, values in enumerate(best)})
        alarms += min(test["p_holm"] for test in tests) < 0.05
    assert alarms / 500 < 0.05 + 5 * (0.05 * 0.95 / 500) ** 0.5


def test_a_difference_smaller_than_the_spread_over_seeds_is_found_on_shared_seeds() -> None:
    rng = np.random.default_rng(0)
    of_seed = rng.normal(0.9, 0.05, 20)
    a, b = of_seed + 0.008 + rng.normal(0, 0.004, 20), of_seed + rng.normal(0, 0.004, 20)
    (test,) = paired_tests({"a": samples(a.tolist()), "b": samples(b.tolist())})
    assert test["p"] < 0.001
    assert stats.ttest_ind(a, b).pvalue > 0.3
