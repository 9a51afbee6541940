"""The report: benchmarks/SEARCH.md, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks import machine
from benchmarks.search.problem import BUDGET, EPOCHS, FIRST, FIXED, FRESH_SEEDS, SPACE, WAYS, WITH_SEEDS

REPORT = Path(__file__).parents[1] / "SEARCH.md"
_Results = Sequence[dict[str, Any]]

_TEXT = """# Search

TPE and pruning against random search, each with {budget} epochs ({whole} whole trials of {epochs}).
Written by the command below; not by hand.

{machine}
- {versions}
- command: `python -m benchmarks.search.run` (`make bench-search`)
- seeds: repetition r (0 to {last}) trains with seed=r and hydra.sweeper.sampler_seed=r, whichever way it searches; its
  best trial is trained again with the {seeds} seeds from 1000 + {seeds} r

The problem was fixed before any result was looked at, and so was the comparison that decides, *{first}* against
*random*.

```
{space}
```

A trial's value is the best val/loss of its one run. Batches of 8. The settings of each way, below `hydra.sweeper`:

{ways}

A way that prunes asks for more trials than the budget pays; those beyond it don't count.

What a search has found is not what it says of its best trial, which was chosen for it: these settings are trained
again, whole, on {seeds} fresh splits. *val/loss* is the mean of their best epochs' on the validation part (of other
splits than the search saw), *test/loss* and *test/accuracy* are those of the same epochs on the test part.

{table}

Against *random*, in pairs over the repetitions: the ratio of the val/loss on fresh splits (geometric
mean, 95 % interval by Student's t of its logarithm), how often it is below 1, and two-sided p-values of the paired t
test of the logarithms and of Wilcoxon's signed ranks; in brackets corrected by Holm's method for all four ways.

{tests}

{verdict}

The same of what the searches minimised, the best trial's own val/loss: of a repetition it is the same function of the
settings for all ways (one seed, one split), so this says who searches better, and nothing of other splits. This table
was added after the first one had been seen.

{found}
"""

_SECTION = """## With {seeds} seeds a trial

`python -m benchmarks.search.run --seeds {seeds}`: each trial is {seeds} runs on {seeds} splits, its value their mean;
{budget} epochs a search; repetition r (0 to {last}) has the seeds from {seeds} r on. That *{first}* alone is compared,
with *random*, on fresh splits, was decided after the results above were known and before any of these was.

{table}

val/loss on fresh splits, as above:

{tests}

{verdict}

The best trial's own value:

{found}
"""


def write(results: _Results) -> None:
    """Write it."""
    REPORT.write_text(text(results))
    print(f"written: {REPORT}")


def append(results: _Results, seeds: int) -> None:
    """Write what was measured with several seeds a trial at the end of the report."""
    ways = list(WITH_SEEDS)
    section = _SECTION.format(
        seeds=seeds,
        budget=f"{seeds * BUDGET:,}",
        first=FIRST,
        last=max(_pairs(results, FIRST)),
        table=_table(results, ways),
        tests=_tests(results, "val_loss", ways),
        found=_tests(results, "found", ways),
        verdict=_verdict(results),
    )
    before = REPORT.read_text().partition("\n## With")[0].rstrip()
    REPORT.write_text(f"{before}\n\n{section}")
    print(f"written: {REPORT}")


def text(results: _Results) -> str:
    """Return it."""
    pairs = _pairs(results, FIRST)
    return _TEXT.format(
        budget=f"{BUDGET:,}",
        whole=BUDGET // EPOCHS,
        epochs=EPOCHS,
        machine="\n".join(machine.describe()),
        versions=f"Optuna {version('optuna')}, SciPy {version('scipy')}",
        last=max(pairs),
        seeds=FRESH_SEEDS,
        first=FIRST,
        space="\n".join([*FIXED, *SPACE]),
        ways="\n".join(f"- {way}: `{' '.join(settings)}`" for way, settings in WAYS.items()),
        table=_table(results),
        tests=_tests(results, "val_loss"),
        found=_tests(results, "found"),
        verdict=_verdict(results),
    )


def _pairs(results: _Results, way: str) -> list[int]:
    """Return the repetitions that a way and random search have both been measured in."""
    both = ({each["repetition"] for each in results if each["way"] == name} for name in (way, "random"))
    return sorted(set.intersection(*both))


def _of(results: _Results, way: str, repetitions: Sequence[int]) -> list[dict[str, Any]]:
    by_number = {each["repetition"]: each for each in results if each["way"] == way}
    return [by_number[r] for r in repetitions if r in by_number]


def _table(results: _Results, ways: Sequence[str] = tuple(WAYS)) -> str:
    rows = [
        "| way | repetitions | trials | whole | epochs | said of the best | val/loss | test/loss | test/accuracy |",
        "|" + " --- |" * 9,
    ]
    for way in ways:
        found = _of(results, way, _pairs(results, way))
        names = ("trials", "complete", "epochs", "found", "val_loss", "test_loss", "test_accuracy")
        mean = {name: float(np.mean([np.mean(each[name]) for each in found])) for name in names}
        cells = [
            way,
            str(len(found)),
            f"{mean['trials']:.1f}",
            f"{mean['complete']:.1f}",
            f"{mean['epochs']:,.0f}",
            *(f"{mean[name]:.4f}" for name in ("found", "val_loss", "test_loss")),
            f"{100 * mean['test_accuracy']:.2f} %",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def ratios(results: _Results, way: str, of: str = "val_loss") -> NDArray[np.float64]:
    """Return the logarithms of a way's val/loss on fresh splits over that of random search, one a repetition."""
    mine, other = (
        np.array([np.mean(each[of]) for each in _of(results, name, _pairs(results, way))]) for name in (way, "random")
    )
    logs: NDArray[np.float64] = np.log(mine / other)
    return logs


def _tests(results: _Results, of: str, among: Sequence[str] = tuple(WAYS)) -> str:
    ways = [way for way in among if way != "random"]
    logs = {way: ratios(results, way, of) for way in ways}
    t = {way: float(stats.ttest_1samp(logs[way], 0).pvalue) for way in ways}
    w = {way: float(stats.wilcoxon(logs[way]).pvalue) for way in ways}
    corrected_t, corrected_w = _holm(t), _holm(w)
    rows = ["| way | ratio | 95 % interval | better | t test | Wilcoxon |", "|" + " --- |" * 6]
    for way in ways:
        half = stats.t.ppf(0.975, len(logs[way]) - 1) * stats.sem(logs[way])
        low, middle, high = np.exp(logs[way].mean() + half * np.array([-1, 0, 1]))
        rows.append(
            f"| {way} | {middle:.3f} | {low:.3f} to {high:.3f} | {int((logs[way] < 0).sum())} of {len(logs[way])} | "
            f"{t[way]:.2g} ({corrected_t[way]:.2g}) | {w[way]:.2g} ({corrected_w[way]:.2g}) |"
        )
    return "\n".join(rows)


def _holm(p: dict[str, float]) -> dict[str, float]:
    corrected, least = {}, 0.0
    for rank, way in enumerate(sorted(p, key=lambda way: p[way])):
        least = max(least, min(1.0, (len(p) - rank) * p[way]))
        corrected[way] = least
    return corrected


def _verdict(results: _Results) -> str:
    logs = ratios(results, FIRST)
    p = float(stats.wilcoxon(logs).pvalue)
    if p >= 0.05:
        return f"*{FIRST}* can't be told from *random* here (p = {p:.2g})."
    word = "beats" if logs.mean() < 0 else "is worse than"
    return f"*{FIRST}* {word} *random* search in the same budget (Wilcoxon, p = {p:.2g}, fixed beforehand)."
