"""Checkpoints: whether each run's last one can be gone on from, as far as its manifest says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from nnlab import checkpoint
from nnlab.doctor.records import glances
from nnlab.doctor.remark import Remark, count, trouble
from nnlab.errors import NnlabError


def seals(outputs: Path) -> Iterator[Remark]:
    """Check the manifest of each run's last checkpoint against its seal; the arrays are read when they are needed."""
    looked = damaged = 0
    for glance in glances(outputs):
        found = (glance.directory / "checkpoints").glob("epoch-*")
        last = max((folder for folder in found if folder.name[6:].isdecimal()), default=None)
        if last is None or glance.is_alive:
            continue
        looked += 1
        try:
            manifest = checkpoint.read_manifest(last)
            missing = [name for name in manifest["files"] if not (last / name).is_file()]
            if missing:
                raise NnlabError(f"{last} is incomplete: {missing[0]} is missing")
        except NnlabError as error:
            damaged += 1
            again = f"nnlab resume {shlex.quote(str(glance.directory))} (which goes on from the one before)"
            remedy = "copy it back from MLflow's artifacts" if glance.is_closed else f"run: {again}"
            yield trouble("checkpoint", str(error), remedy)
    if looked and not damaged:
        yield Remark("checkpoints", f"the last ones of {count(looked, 'run')} have their seals")
