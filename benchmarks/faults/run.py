"""Faults injected into nnlab: `make faults`, or `python -m benchmarks.faults.run [--only NAME ...]`.

Each row of benchmarks/FAULTS.md is what was found when it was last tried in full; the figures are kept in FAULTS.json
beside it, so that some rows can be tried again alone. A short version of every row is a test (tests/faults).
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.faults.fault import Effort, Fault
from benchmarks.faults.faults import FAULTS
from nnlab import checkout
from nnlab.one_line import one_line

TABLE = Path(__file__).parents[1] / "FAULTS.md"
_LOSSES = 10  # shown of a row


def main() -> None:
    """Inject, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="NAME", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--short", action="store_true", help="as in the tests; nothing is written")
    parser.add_argument("--seed", type=int, help="of all that is drawn; default: a new one, which is written down")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (default: 2)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    lost, commit = 0, _commit()
    for name in options.only or FAULTS:
        row = _try(FAULTS[name], seed, options.jobs, short=options.short) | {"commit": commit}
        lost += len(row["losses"])
        print(f"{name}: {len(row['losses'])} of {row['tried']} lost, {row['seconds']} s", flush=True)
        for loss in [*row["losses"][:_LOSSES], *row["notes"]]:
            print(f"  {loss}", flush=True)
        if not options.short:
            known = _known() | {name: row}
            TABLE.with_suffix(".json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
            TABLE.write_text(render(known))
    raise SystemExit(1 if lost else 0)


def _try(fault: Fault, seed: int, jobs: int, *, short: bool) -> dict[str, Any]:
    clock = time.perf_counter()
    found = fault.inject(Effort(fault.short if short else fault.times, seed, jobs))
    return {
        "tried": found.tried,
        "losses": found.losses,
        "notes": found.notes,
        "seed": seed,
        "seconds": round(time.perf_counter() - clock),
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "machine": machine.describe()[:2],
    }


def _commit() -> str:
    """Return what is tried, asked before the first row writes the table, which is a change too."""
    state = checkout.current()
    return f"{state.commit[:7]}{' and uncommitted changes' if state.dirty else ''}" if state else "unknown"


def _known() -> dict[str, Any]:
    path = TABLE.with_suffix(".json")
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known


def render(known: dict[str, Any]) -> str:
    """Return the table of what was found, rows that were never tried left out and named."""
    rows = [(name, fault, known[name]) for name, fault in FAULTS.items() if name in known]
    absent = [name for name in FAULTS if name not in known]
    lines = [
        "# Faults",
        "",
        "Each fault was injected as many times as the row says. *Lost* counts the times in which the promise did not",
        "hold. Written by `make faults` (`python -m benchmarks.faults.run`), one row by `--only NAME`; not by hand.",
        "",
        *dict.fromkeys(line for _, _, row in rows for line in row["machine"]),
        "",
        "| fault | what must hold | tried | lost | verdict |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {fault.title} | {fault.promise} | {row['tried']:,} | {len(row['losses'])} | "
            f"{'**lost**' if row['losses'] else 'holds'} |"
            for _, fault, row in rows
        ),
        "",
        *([f"Not tried yet: {', '.join(absent)}.", ""] if absent else []),
        "## What was seen",
        "",
    ]
    for name, fault, row in rows:
        lines += [f"### `{name}`", "", f"{fault.title}.", "", *(f"- {one_line(note)}" for note in row["notes"])]
        lines += [f"- **lost**: {one_line(loss).replace('|', ' ')}" for loss in row["losses"][:_LOSSES]]
        lines += [f"- seed {row['seed']}, {row['seconds']} s, {row['date']}, commit {row['commit']}", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
