"""What sweeps cost, and that they survive: `make bench-sweeps`, or `python benchmarks/sweeps/run.py [--only NAME ...]`.

The whole run writes benchmarks/SWEEPS.md; a quick one (smaller sweeps, one round, the goals mean nothing) or a part of
it prints its sections only. A peer that is not installed in `--peer-python` is left out and named.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import machine
from benchmarks.report import Section, summary
from benchmarks.sweeps import killed, mnist16, moons1000, wine64
from benchmarks.sweeps.effort import FULL, QUICK, Effort

RESULTS = Path(__file__).parents[1] / "SWEEPS.md"
SECTIONS: dict[str, Callable[[Effort], Section]] = {
    "wine64": wine64.measure,
    "mnist16": mnist16.measure,
    "moons1000": moons1000.measure,
    "killed": killed.measure,
}


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sweeps, about three minutes")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--peer-python", default=FULL.peer_python, help="an interpreter with Hydra, MLflow and PyTorch")
    parser.add_argument("--seed", type=int, help="of the moments at which sweeps are killed; default: drawn, printed")
    options = parser.parse_args()
    effort = replace(QUICK if options.quick else FULL, peer_python=options.peer_python, seed=options.seed)
    sections = [SECTIONS[name](effort) for name in options.only or SECTIONS]
    text = "\n".join(
        [
            "# Sweeps",
            "",
            "A sweep from the command to its runs in MLflow. Written by the command below; not by hand.",
            "",
            *machine.describe(),
            "- command: `python benchmarks/sweeps/run.py` (`make bench-sweeps`)",
            "",
            summary([goal for section in sections for goal in section.goals]),
            "",
            *map(str, sections),
        ]
    )
    if not options.quick and not options.only:
        RESULTS.write_text(text.rstrip() + "\n")
        print(f"\nwritten: {RESULTS}")
    else:
        print(text)


if __name__ == "__main__":
    main()
