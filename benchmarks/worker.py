"""A worker: one peer on one task in a process of its own, so that no two libraries share threads or memory.

``python -m benchmarks.worker PEER TASK-JSON`` prepares and says ``{"ready": true}``, or ``{"missing": why}``. Then, for
each line on stdin, a number of epochs, it does one repetition and prints what it gave, blocked in a read
in between.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from benchmarks.tasks import Repetition, Task, UnavailableError


def main(peer: str, task_json: str) -> None:
    """Serve repetitions until stdin is closed."""
    task = Task.from_json(task_json)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    if task.cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, task.cores)  # before the libraries count the cores
    try:
        prepare = importlib.import_module(f"benchmarks.peers.{peer}").prepare
        repetition: Repetition = prepare(task)
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": f"not installed ({error.name})"}), file=answers)
        return
    except UnavailableError as error:
        print(json.dumps({"missing": str(error)}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps({"value": repetition(int(line))}), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
