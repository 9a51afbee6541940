"""Findings: what a comparison comes to, in plain words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nnlab.paired_tests import LEVEL

_MOST_PAIRS = 4  # differences that are named one by one
_MANY_LETTERS = 80  # of the names of settings, in one sentence
_FEW = 5  # seeds


def words(result: pd.DataFrame) -> str:
    """Return one line that says which settings differ.

    "A beats B by 0.8 +- 0.3 points over 20 seeds" is the mean of the differences on the seeds that both have, with half
    the width of its 95 % interval (paired t, for this one difference). It is said where the p-value, corrected by
    Holm's method for all pairs that were tested, is below 0.05. All else "can't be told apart", which is not to say
    that it is equal. Points are percentage points of an accuracy; other metrics have their own unit.

    Args:
        result: what ``compare`` gave.
    """
    return "; ".join([*_differences(result), *_gaps(result)])


def labels(settings: pd.DataFrame) -> list[str]:
    """Return a short text for each setting: ``tanh``, ``lr=0.1``, ``activation=tanh lr=0.1``.

    Args:
        settings: a row a setting, a column a key.
    """
    ends = Counter(str(key).rpartition(".")[2] for key in settings)
    names = {key: end if ends[end := str(key).rpartition(".")[2]] == 1 else str(key) for key in settings}
    says_itself = len(names) == 1 and all(
        isinstance(value, str) and value[:1].isalpha() for value in settings.iloc[:, 0]
    )
    texts = []
    for values in settings.itertuples(index=False, name=None):
        parts = [
            text(value) if says_itself else f"{names[key]}={text(value)}"
            for key, value in zip(names, values, strict=True)
        ]
        texts.append(" ".join(parts))
    seen: Counter[str] = Counter()
    for at, each in enumerate(texts):  # 1 and "1" are two settings
        seen[each] += 1
        texts[at] = each if seen[each] == 1 else f"{each} ({seen[each]})"
    return texts


def text(value: Any) -> str:
    """Return a setting's value as people read it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "null"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def metric_name(result: pd.DataFrame) -> str:
    """Return the metric as in a sentence, ``test/accuracy`` for ``final/test_accuracy``."""
    name: str = result.attrs["metric"]
    kind, _, what = name.partition("/")
    return what.replace("_", "/", 1) if kind == "final" else name


def is_clear(test: dict[str, Any]) -> bool:
    """Say whether a test found its two settings to differ."""
    return test["p_holm"] is not None and test["p_holm"] < 1 - LEVEL


def amount(test: dict[str, Any], result: pd.DataFrame) -> str:
    """Return a test's difference without its sign, ``0.8 +- 0.3 points``."""
    is_accuracy = result.attrs["metric"].endswith("accuracy")
    scale, unit = (100.0, " points") if is_accuracy else (1.0, "")
    size, half = scale * abs(test["difference"]), scale * (test["high"] - test["low"]) / 2
    if half == 0:
        return f"{size:.1f}{unit}" if is_accuracy else f"{size:.4g}"
    if not math.isfinite(size + half):
        return f"{size:.4g} \N{PLUS-MINUS SIGN} {half:.2g}{unit}"
    return f"{_rounded(size, half)}{unit}"


def _differences(result: pd.DataFrame) -> list[str]:
    """Return what the tests say."""
    tests = result.attrs["tests"]
    made = [test for test in tests if test["p"] is not None]
    if not made:
        return [_untested(result)]
    on, seeds = f" on {metric_name(result)}", {test["n"] for test in made}
    clear = [test for test in made if is_clear(test)]
    parts = _wins(clear[:_MOST_PAIRS], result, on, is_even=len(seeds) == 1)
    if more := len(clear[_MOST_PAIRS:]):
        parts.append(f"{more} more of the {len(made)} pairs differ")
    if not clear:
        parts.append(_closest(made, result, on))
    elif len(clear) < len(made):
        parts.append("the rest can't be told apart")
    apart = [test for test in tests if test["p"] is None]
    if len(apart) == 1:
        parts.append(f"{apart[0]['a']} and {apart[0]['b']} share fewer than two seeds and are not tested")
    elif apart:
        parts.append(f"{len(apart)} pairs share fewer than two seeds and are not tested")
    if len(clear) < len(made) and min(seeds) < _FEW:
        parts.append(f"{min(seeds)} seeds are few, more would tell more")
    return parts


def _wins(clear: Sequence[dict[str, Any]], result: pd.DataFrame, on: str, *, is_even: bool) -> list[str]:
    """Return a clause for each winner; metric and number of seeds, where it is the same for all, stand in the first."""
    by_winner: dict[str, list[str]] = {}
    for test in clear:
        winner, loser = _ordered(test, result)
        often = "" if is_even else _seeds(test)
        by_winner.setdefault(winner, []).append(f"{loser} by {amount(test, result)}{often}")
    clauses = [f"{winner} beats {_listed(losers)}" for winner, losers in by_winner.items()]
    return [
        clause + (on + (_seeds(clear[0]) if is_even else "") if not at else "") for at, clause in enumerate(clauses)
    ]


def _closest(made: Sequence[dict[str, Any]], result: pd.DataFrame, on: str) -> str:
    """Return the sentence for no clear difference, with the least p-value there is."""
    test = min(made, key=lambda test: test["p"])
    ahead, behind = _ordered(test, result)
    names = list(dict.fromkeys(name for test in made for name in (test["a"], test["b"])))
    listed = _listed(names) if sum(map(len, names)) < _MANY_LETTERS else f"the best {len(names)} settings"
    who = f"{names[0]} and {names[1]} can't" if len(names) == 2 else f"no two of {listed} can"
    if test["difference"] == 0:
        return f"{who} be told apart{on}: no difference{_seeds(test)}"
    behind = "" if len(names) == 2 else f" of {behind}"
    p = f"p = {test['p_holm']:.2g}" + (" after Holm's correction" if len(made) > 1 else "")
    return f"{who} be told apart{on}: {ahead} is ahead{behind} by {amount(test, result)}{_seeds(test)} ({p})"


def _untested(result: pd.DataFrame) -> str:
    counted = result[result["n"] > 0]
    if counted.empty:
        return "no run has finished, so there is nothing to compare"
    if len(result) == 1:
        mean, low, high = (float(result[name].iloc[0]) for name in ("mean", "low", "high"))
        half = "" if math.isnan(low) else f" \N{PLUS-MINUS SIGN} {(high - low) / 2:.2g}"
        seeds = _counted(int(result["n"].iloc[0]), "seed")
        return f"one setting, so nothing to compare: {metric_name(result)} {mean:.4g}{half} over {seeds}"
    if len(counted) == 1:
        return f"{result.attrs['labels'][0]} is the only setting with a finished run, so there is nothing to compare"
    if result.attrs["tests"]:
        return "the best settings share fewer than two seeds, so no test can tell them apart"
    return "fewer than two settings have two seeds or more, so no test can tell them apart"


def _gaps(result: pd.DataFrame) -> list[str]:
    """Return what the tests leave out."""
    tested = list(dict.fromkeys(name for test in result.attrs["tests"] for name in (test["a"], test["b"])))
    parts = []
    testable = int((result["n"] > 1).sum())
    if len(tested) < testable and tested:
        parts.append(f"only the best {len(tested)} of {testable} settings were tested")
    if tested and (lone := int((result["n"] == 1).sum())):
        parts.append(f"not tested: {_counted(lone, 'setting')} with a single seed")
    failed = {label: n for label, n in zip(result.attrs["labels"], result["failed"], strict=True) if n}
    return parts + [
        f"{label} is judged without its {_counted(failed[label], 'failed run')}" for label in tested if label in failed
    ]


def _ordered(test: dict[str, Any], result: pd.DataFrame) -> tuple[str, str]:
    """Return the better and the worse setting on the seeds that both have."""
    a_is_better = (test["difference"] < 0) == result.attrs["lower_is_better"]
    return (test["a"], test["b"]) if a_is_better else (test["b"], test["a"])


def _seeds(test: dict[str, Any]) -> str:
    return f" over {test['n']} seeds" if test["low"] != test["high"] else f" on every one of {test['n']} seeds"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _rounded(size: float, half: float) -> str:
    """Return ``size +- half`` to one figure of half the width, two if it begins with 1 or 2, more to keep order."""
    exponent = math.floor(math.log10(half))
    first_two = round(half / 10.0 ** (exponent - 1))
    decimals = max(0, (1 if first_two < 30 else 0) - exponent)
    while size > half and round(size, decimals) <= round(half, decimals) and decimals < 12:
        decimals += 1
    return f"{size:.{decimals}f} \N{PLUS-MINUS SIGN} {half:.{decimals}f}"
