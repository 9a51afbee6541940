"""Paired t tests: which settings differ, judged on the seeds that they share.

A seed settles the split, the initial weights and the order of the data, for every setting alike; so what a seed does to
all settings cancels in the differences between two of them on the same seed, and the test is that of these differences
against zero (Student 1908). Runs of one seed are no samples of their own: several of them, with other values of a key
that is averaged over, give one difference, the mean over the values that both settings have.

What it answers: would the mean over all seeds differ, on these data? Seeds are drawn independently, so that is sound;
that the splits of one data set overlap makes the answer narrower than one about other data (Dietterich 1998; Nadeau and
Bengio 2003). The t test takes differences to be normal. With few seeds of accuracies near 1 they are lumpy and skewed,
and p-values just below 0.05 are then no proof.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
"""Of the intervals; a difference counts as one where its corrected p-value is below 1 - LEVEL."""

MOST_SETTINGS = 5
"""So many of the best settings are tested against each other."""

_ROUNDING = 1e-12  # relative to the values; differences that differ by less are equal

Samples = Mapping[Hashable, Mapping[Hashable, float]]
"""Of one setting: seed -> values of the keys that are averaged over -> metric."""


def seed_means(samples: Samples) -> NDArray[np.float64]:
    """Return one value a seed: the mean over its runs."""
    return np.array([float(np.mean(list(values.values()))) for values in samples.values()], dtype=np.float64)


def t_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean of independent normal values: mean -+ t(n - 1) std / sqrt(n).

    It knows no bounds, and so can reach beyond an accuracy of 1. Without spread it has no width, and says nothing then.

    Args:
        values: ``[n]``.

    Returns:
        its ends; NaN for fewer than two values.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def paired_tests(settings: Mapping[str, Samples]) -> list[dict[str, Any]]:
    """Test each pair of settings on the seeds that both have, and correct the p-values for the number of tests.

    The correction is Holm's (1979) step-down one over all pairs that are tested here: where all settings are equal, at
    most 5 % of comparisons say of any pair that it differs. All pairs, because they were put in order first: the best
    against each of the others alone, corrected for so many only, says so in 8 to 10 % of them (counted, five settings,
    5 to 20 seeds). The best few of many settings raise no false alarms of their own, being closer to each other than
    any few are: below 2 % of twenty. Skewed values of unequal spread can bring 7 %.

    Args:
        settings: label -> its samples, the best first.

    Returns:
        for each pair ``a``, ``b`` (labels), ``n`` (seeds that both have) and, None where these are fewer than 2,
        ``difference`` (mean of a - b), ``low``, ``high`` (95 % interval of this one difference, not widened for the
        number of tests), ``p`` (two-sided) and ``p_holm``. Differences that are all the same leave a t test without a
        spread: ``p`` is then that of the sign test, 2 / 2^n, and 1 where they are zero.
    """
    tests = [{"a": a, "b": b, **_test(settings[a], settings[b])} for a, b in combinations(settings, 2)]
    made = [test for test in tests if test["p"] is not None]
    for test, corrected in zip(made, holm([test["p"] for test in made]), strict=True):
        test["p_holm"] = corrected
    return tests


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's corrected p-values: the i-th smallest of m times m - i + 1, at most 1, never falling."""
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def _test(a: Samples, b: Samples) -> dict[str, Any]:
    pairs = [[(a[seed][at], b[seed][at]) for at in a[seed] if at in b[seed]] for seed in a if seed in b]
    pairs = [of_seed for of_seed in pairs if of_seed]
    n = len(pairs)
    if n < 2:
        return {"difference": None, "low": None, "high": None, "n": n, "p": None, "p_holm": None}
    differences = np.array([np.mean([one - other for one, other in of_seed]) for of_seed in pairs])
    difference, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    rounding = _ROUNDING * max(abs(value) for of_seed in pairs for pair in of_seed for value in pair)
    if spread <= rounding:
        p = 1.0 if abs(difference) <= rounding else 2.0 ** (1 - n)
        low = high = difference
    else:
        p = float(2 * stdtr(n - 1, -abs(difference) / (spread / np.sqrt(n))))
        low, high = t_interval(differences)
    return {"difference": difference, "low": low, "high": high, "n": n, "p": p, "p_holm": None}
