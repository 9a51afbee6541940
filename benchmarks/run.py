"""nnlab beside its peers, in one run: `make bench`, or `python benchmarks/run.py [--quick] [--only NAME ...]`.

The whole run writes benchmarks/RESULTS.md and wine_stack.png; a quick one (fewer images, epochs and rounds, times
scaled up) or a part of it prints its tables only. Peers that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.report import Goal, Section, summary
from benchmarks.sections import epoch, lenet, memory, throughput, wine

RESULTS = Path(__file__).with_name("RESULTS.md")
SECTIONS: dict[str, Callable[[Effort], Section]] = {
    "epoch": epoch.measure,
    "throughput": throughput.measure,
    "wine": wine.measure,
    "lenet": lenet.measure,
    "memory": memory.measure,
}
PEERS = """## How each was written

Every peer is in a process of its own, prepared and warmed up before the clock starts, and asked for one repetition at a
time; the peers take turns, and what stands in the tables is the median. Each repetition starts from fresh parameters.

- **nnlab**: `Sequential`, `SGD`, `Batches` and `train` of this repository, evaluation off; the time of
  the whole of `train`, in which it also counts the hits of every batch and looks for NaN (the peers don't).
- **JAX jit**: *a call a batch* is one compiled update called from Python for each batch, as most tutorials have it. *A
  call an epoch* is the best we know: the whole epoch is one compiled `lax.scan` over the shuffled row numbers (wine:
  `fori_loop` over all epochs). *Batch last* is the same in nnlab's own layout, `[features, batch]`. The data is on the
  device, parameters are donated, compilation is not counted. Side by side and wine use the whole-epoch forms.
- **PyTorch eager**: data in two tensors, batches by `index_select` without a DataLoader, `torch.optim.SGD`.
- **scikit-learn**: `MLPClassifier(solver="sgd", momentum=0, alpha=0)`, one `partial_fit` an epoch, float32 inputs.
- **the same matrix products alone**: `np.matmul` on the shapes of an epoch, the last short batch included, into arrays
  that are there already, all BLAS threads.

The code is in [peers](peers); threads: what each library takes by itself, or one where a core is all a process has.
"""


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under two minutes, rough")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    sections = [SECTIONS[name](effort) for name in options.only or SECTIONS]
    goals: list[Goal] = [goal for section in sections for goal in section.goals]
    command = " ".join(["python benchmarks/run.py", *(["--quick"] if options.quick else [])])
    text = "\n".join(
        [
            "# nnlab beside its peers",
            "",
            "Seconds and milliseconds are medians, smaller is better. Written by the command below; not by hand.",
            "",
            *machine.describe(),
            f"- command: `{command}` (`make bench`)",
            "",
            summary(goals),
            "",
            *map(str, sections),
            PEERS,
        ]
    )
    if effort == FULL and not options.only:
        RESULTS.write_text(text.rstrip() + "\n")
        print(f"\nwritten: {RESULTS}")
    else:
        print(text)


if __name__ == "__main__":
    main()
