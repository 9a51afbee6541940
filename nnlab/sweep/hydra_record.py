"""Hydra's record: ``.hydra/`` of a job's directory, as Hydra writes it for the jobs that it runs itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nnlab.errors import naming
from nnlab.sweep.plan import Planned


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # libyaml's takes a sixth of the time
    """Quotes text such as ``1e3`` as well, which OmegaConf would read as a number and PyYAML would not."""

    def represent_text(self, text: str) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _is_number(text) else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def write(directory: Path, planned: Planned) -> None:
    """Write what a job was composed from: ``config.yaml`` and ``hydra.yaml``, unresolved, and ``overrides.yaml``.

    Args:
        directory: of the job.
        planned: the job, which can run.
    """
    job, composed = planned.job, planned.composed
    assert job is not None  # noqa: S101 - it can run
    assert composed is not None  # noqa: S101
    settings = composed.hydra
    if settings["output_subdir"] is None:  # as the user wants it
        return
    own = {
        **settings,
        "overrides": {**settings["overrides"], "task": list(job.overrides)},
        "job": {
            **settings["job"],
            "override_dirname": composed.dirname,
            "num": planned.number,
            "id": str(planned.number),
        },
        "runtime": {**settings["runtime"], "output_dir": str(directory.absolute())},
    }
    folder = directory / str(settings["output_subdir"])
    folder.mkdir(parents=True, exist_ok=True)
    _dump({**job.config.to_dict(), **composed.raw}, folder / "config.yaml")
    _dump({"hydra": own}, folder / "hydra.yaml")
    _dump(list(job.overrides), folder / "overrides.yaml")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _dump(node: dict[str, Any] | Sequence[str], path: Path) -> None:
    text = yaml.dump(node, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    with naming(path):
        path.write_text(text, encoding="utf-8")
