"""What many workers and many runs cost: `make bench-scale`, or `python -m benchmarks.scale.run [--quick]`.

The whole run writes benchmarks/SCALE.md; a quick one prints smaller numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import machine
from benchmarks.scale import launching, mirroring

RESULTS = Path(__file__).parents[1] / "SCALE.md"


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few workers and runs")
    parser.add_argument("--only", choices=("launching", "mirroring"))
    options = parser.parse_args()
    sections = []
    if options.only != "mirroring":
        sizes = [(4, 8)] if options.quick else [(10, 64), (100, 8), (100, 1), (400, 1)]
        sections.append(launching.measure(sizes, 2, 1.0 if options.quick else 4.0))
    if options.only != "launching":
        sections.append(mirroring.measure([2] if options.quick else [1, 2, 4], 5 if options.quick else 30))
    text = "\n".join(
        [
            "# Scale",
            "",
            "What a sweep costs beside its training. Written by the command below; not by hand. What follows from it",
            "is in [docs/scale.md](../docs/scale.md).",
            "",
            *machine.describe(),
            "- command: `python -m benchmarks.scale.run` (`make bench-scale`)",
            "",
            *map(str, sections),
        ]
    )
    if options.quick or options.only:
        print(text)
    else:
        RESULTS.write_text(text.rstrip() + "\n")
        print(f"\nwritten: {RESULTS}")


if __name__ == "__main__":
    main()
