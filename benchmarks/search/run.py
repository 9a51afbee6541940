"""TPE and pruning against random search, in the same budget of epochs: `make bench-search`.

Each repetition has a seed of its own for data, weights and sampler, and all ways share it, so that they are compared in
pairs. What is compared is not what a search says of its best trial, which flatters, but what this trial's settings give
on fresh splits. Results are kept in benchmarks/search/results.json as they come, and those that are there are not done
again; without --only-report the missing ones are done. Then benchmarks/SEARCH.md is written.

With --seeds 3 each trial is three runs and the budget three times as large, for ``WITH_SEEDS`` alone; its section is
put at the end of the report.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.search import report
from benchmarks.search.problem import BUDGET, FIXED, FRESH_SEEDS, REPETITIONS, SPACE, WAYS, WITH_SEEDS
from nnlab import app, journal, pictures
from nnlab.sweep import pictures as of_sweeps

RESULTS = Path(__file__).with_name("results.json")
QUICK = "hydra.launcher.backend=sequential"


def main() -> None:
    """Measure what is missing, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only-report", action="store_true", help="measure nothing")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--seeds", type=int, default=1, help="runs of a trial")
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    own = RESULTS if options.seeds == 1 else RESULTS.with_name(f"results-{options.seeds}.json")
    options.results = options.results or own
    results: list[dict[str, Any]] = json.loads(options.results.read_text()) if options.results.exists() else []
    done = {(each["repetition"], each["way"]) for each in results}
    _draw_nothing()
    for repetition in range(0 if options.only_report else options.repetitions):
        for way in WAYS if options.seeds == 1 else WITH_SEEDS:
            if (repetition, way) not in done:
                results.append(measure(repetition, way, options.seeds))
                options.results.write_text(json.dumps(results, indent=0) + "\n")
    if options.seeds == 1:
        report.write(results)
    else:
        report.append(results, options.seeds)


def measure(repetition: int, way: str, seeds: int = 1) -> dict[str, Any]:
    """Search once, and train the best trial again."""
    given = (*WAYS[way], "batch=8", f"sampler_seed={repetition}", f"seeds={seeds}")
    settings = [f"hydra.sweeper.{each}" for each in given]
    with tempfile.TemporaryDirectory() as outputs:
        os.environ["NNLAB_OUTPUTS"] = outputs
        first = f"seed={repetition * seeds}"  # of the trial's runs
        directory = _train(["-m", "hydra/sweeper=optuna", *FIXED, QUICK, first, *SPACE, *settings])
        trials = within_budget(directory, seeds)
        best = min((each for each in trials if each["state"] == "COMPLETE"), key=lambda each: float(each["value"]))
        # Seeds that no search trains with; the same ones for all ways of a repetition.
        start = 1000 + FRESH_SEEDS * repetition
        chosen = best["overrides"]
        again = _train(["-m", *FIXED, QUICK, *chosen, f"seed=range({start},{start + FRESH_SEEDS})"])
        metrics = [journal.read(again / str(run)).metrics for run in range(FRESH_SEEDS)]
    return {
        "repetition": repetition,
        "way": way,
        "trials": len(trials),
        "complete": sum(each["state"] == "COMPLETE" for each in trials),
        "epochs": sum(int(each["epochs"]) for each in trials),
        "found": float(best["value"]),
        "chosen": chosen,
        **{
            name.replace("best/", ""): [each[name] for each in metrics]
            for name in ("best/val_loss", "best/test_loss", "best/test_accuracy")
        },
    }


def _train(arguments: list[str]) -> Path:
    directory = app.train(arguments)
    if directory is None:
        raise RuntimeError(f"{arguments} trained nothing")
    return directory


def within_budget(directory: Path, seeds: int = 1) -> list[dict[str, Any]]:
    """Return the trials of a search, in their order, that the budget pays."""
    with (directory / "trials.csv").open() as file:
        trials: list[dict[str, Any]] = sorted(csv.DictReader(file), key=lambda row: int(row["trial"]))
    plan = json.loads((directory / "sweep.json").read_text())
    spent, paid = 0, []
    for trial, job in zip(trials, plan["jobs"][::seeds], strict=True):
        spent += int(trial["epochs"])
        if spent > BUDGET * seeds:
            break
        searched = {each.partition("=")[0] for each in SPACE}
        trial["overrides"] = [each for each in job["overrides"] if each.partition("=")[0] in searched]
        paid.append(trial)
    return paid


def _draw_nothing() -> None:
    """Leave the pictures out, which take longer than the training."""
    pictures.draw_curves = lambda *_: None
    pictures.draw_predictions = lambda *_: None
    of_sweeps.draw = lambda *_: iter(())


if __name__ == "__main__":
    main()
