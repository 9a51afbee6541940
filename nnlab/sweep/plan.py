"""Plan: the jobs of a sweep, composed and checked before the first one trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from nnlab import runner
from nnlab.compose import Job, explain, job_from
from nnlab.errors import NnlabError


@dataclass(frozen=True)
class Planned:
    """One job of a sweep.

    Attributes:
        number: from 0.
        overrides: all of them.
        name: what was swept, ``activation=relu seed=3``.
        job: composed; None if it can't run.
        problem: why it can't.
    """

    number: int
    overrides: tuple[str, ...]
    name: str
    job: Job | None
    problem: str | None = None


def plan(
    jobs: Sequence[Sequence[str]], swept: Sequence[str], compose: Callable[[list[str]], DictConfig]
) -> list[Planned]:
    """Compose and check every job.

    Args:
        jobs: the overrides of each.
        swept: the keys that more than one value was given for.
        compose: from overrides to a config with its ``hydra`` node.

    Raises:
        NnlabError: there is no job, or none can run.
    """
    planned: list[Planned] = []
    taken: set[Path] = set()
    for number, overrides in enumerate(jobs):
        job, problem = None, None
        try:
            composed = compose(list(overrides))
            with read_write(composed), open_dict(composed):
                composed.hydra.job.num = composed.hydra.job.id = number
            job = job_from(composed)
            runner.check(job)
            if job.directory in taken:
                problem = f"hydra.sweep.subdir gives it the directory of another job, {job.directory}"
            taken.add(job.directory)
        except NnlabError as error:
            problem = str(error)
        except (HydraException, OmegaConfBaseException) as error:
            problem = str(explain(error, overrides))
        planned.append(Planned(number, tuple(overrides), name(overrides, swept), None if problem else job, problem))
    if not planned:
        raise NnlabError("the sweep has no jobs: one of its ranges is empty")
    problems = dict.fromkeys(job.problem for job in planned)
    if None not in problems:
        more = f" (and {len(problems) - 1} other problems: no job can run)" if len(problems) > 1 else ""
        raise NnlabError(f"{planned[0].problem}{more}")
    return planned


def name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """Return a job's name: what was swept, with its values."""
    values = dict(override.split("=", 1) for override in overrides if "=" in override)
    return " ".join(f"{key}={values[key]}" for key in swept if key in values)
