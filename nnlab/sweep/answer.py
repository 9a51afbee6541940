"""Answer: what a sweep comes to, written beside its journal: the table, a sentence, the pictures, the best run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nnlab import comparison, figures, findings, frames, index, tables
from nnlab.errors import naming
from nnlab.journal import NAME, Journal
from nnlab.sweep import frozen, pictures
from nnlab.tracking import description
from nnlab.tracking.limits import MAX_TAG


def conclude(directory: Path, children: Sequence[Path], journal: Journal, swept: Sequence[str]) -> pd.DataFrame | None:
    """Write and journal ``compare.csv``, ``compare.md`` and ``plots/``, and tag the sweep with what it found.

    Tags: ``nnlab.best_child`` (run id), ``nnlab.best_child_directory`` (seen from the sweep's),
    ``nnlab.best_child_by`` (the metric that chose it, on the validation part, never on test), ``nnlab.finding`` (the
    sentence), ``nnlab.table`` (Markdown), and both as MLflow's description. Without a finished run there is nothing to
    write.

    Args:
        directory: of the sweep.
        children: directories of its runs, wherever they are.
        journal: of the sweep, open.
        swept: the keys that more than one value was given for.

    Returns:
        the comparison that it rests on; None where no run has finished.
    """
    runs = frames.frame([child for child in children if (child / NAME).is_file()])
    if runs.empty or not (runs["status"] == "FINISHED").any():
        return None
    result = comparison.compare(runs=runs)
    words, table = findings.words(result), tables.as_text(result, "markdown")
    best, chosen_by = best_run(runs)
    (entry,) = index.entries([best])
    for file, text in (("compare.csv", tables.as_text(result, "csv")), ("compare.md", f"{table}\n\n{words}")):
        with naming(directory / file):
            (directory / file).write_text(f"{text}\n", encoding="utf-8")
        journal.write("artifact", path=file)
    tags = {
        "nnlab.best_child": entry.run["run_id"],
        "nnlab.best_child_directory": frozen.relative(best, directory),
        "nnlab.best_child_by": chosen_by,
        "nnlab.finding": words,
        "nnlab.table": _cut(table),
    }
    journal.write("tags", tags={**tags, description.NAME: description.described(tags)})
    (directory / "plots").mkdir(exist_ok=True)
    name = f"{' x '.join(swept) or 'sweep'}: {len(children)} runs"
    for file, figure in pictures.draw(runs, result, name):
        figures.save(figure, directory / "plots" / file)
        journal.write("artifact", path=f"plots/{file}")
    return result


def best_run(runs: pd.DataFrame) -> tuple[Path, str]:
    """Return the directory of the FINISHED run of the highest validation accuracy, and the name of that metric.

    Of equal ones the one of the lowest validation loss, then the first. Without a validation part it is the training
    part: the test part chooses nothing, or its figures would be no test any more.

    Args:
        runs: a row a run, as of ``frames.frame``; one at least has finished.
    """
    finished = runs[runs["status"] == "FINISHED"]
    part = "val" if "final/val_accuracy" in finished and finished["final/val_accuracy"].notna().any() else "train"
    order = [f"final/{part}_accuracy", f"final/{part}_loss"]
    best = finished.sort_values(order, ascending=[False, True], kind="stable").iloc[0]
    return Path(best["directory"]), order[0]


def _cut(text: str) -> str:
    """Return as many whole lines of a text as a tag holds."""
    return text if len(text) <= MAX_TAG else text[: text.rindex("\n", 0, MAX_TAG)]
