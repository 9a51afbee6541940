"""Plan: the jobs of a sweep, composed and checked before the first one trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydra.errors import HydraException
from omegaconf import DictConfig
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
        NnlabError: no job can run, all for the same reason.
    """
    planned = []
    for number, overrides in enumerate(jobs):
        job, problem = None, None
        try:
            job = job_from(compose(list(overrides)))
            runner.check(job)
        except NnlabError as error:
            problem = str(error)
        except (HydraException, OmegaConfBaseException) as error:
            problem = str(explain(error, overrides))
        planned.append(Planned(number, tuple(overrides), name(overrides, swept), None if problem else job, problem))
    problems = {job.problem for job in planned}
    if len(problems) == 1 and (problem := problems.pop()) is not None:
        raise NnlabError(problem)
    return planned


def name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """Return a job's name: what was swept, with its values."""
    values = dict(override.split("=", 1) for override in overrides if "=" in override)
    return " ".join(f"{key}={values[key]}" for key in swept if key in values)
