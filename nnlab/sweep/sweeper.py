"""RecordedSweeper: Hydra's grid of jobs, with a record of the sweep as a whole."""

from __future__ import annotations

import functools
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from nnlab import tables
from nnlab.errors import NnlabError
from nnlab.journal import Journal
from nnlab.recorded_training import Outcome
from nnlab.sweep.parent import open_parent
from nnlab.sweep.plan import Planned, plan


class RecordedSweeper(BasicSweeper):
    """Hydra's basic sweeper, that checks every job first, lets none stop the others, and journals the sweep.

    The sweep's own journal, in its directory, becomes the parent run in MLflow. It is open, and so locked, as long as
    the sweep is at work. Jobs find it one directory above their own, in whatever process they run.
    """

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Run the jobs that ``arguments`` (overrides with commas, ranges, choices) span.

        Raises:
            NnlabError: no job can be run, or some failed; the table of all has been printed then.
        """
        assert self.config is not None  # noqa: S101 - setup() has been called
        assert self.hydra_context is not None  # noqa: S101
        assert self.launcher is not None  # noqa: S101
        given = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(given)
        swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        planned = plan(jobs, swept, functools.partial(self.hydra_context.config_loader.load_sweep_config, self.config))
        directory = Path(self.config.hydra.sweep.dir).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        tables.print_plan(planned)
        journal = self._open_journal(directory, swept, planned, given)
        try:
            returns = self._launch([job for job in planned if job.problem is None])
        except KeyboardInterrupt:
            journal.close("KILLED", "interrupted")
            raise
        except Exception as error:
            journal.close("FAILED", f"{type(error).__name__}: {error}")
            raise
        return self._end(directory, planned, returns, journal)

    def _launch(self, runnable: list[Planned]) -> list[JobReturn]:
        """Launch jobs in stretches of consecutive numbers, so that a job keeps its number where others can't run."""
        assert self.launcher is not None  # noqa: S101
        returns: list[JobReturn] = []
        start = 0
        for end in range(1, len(runnable) + 1):
            if end == len(runnable) or runnable[end].number != runnable[end - 1].number + 1:
                batch = [list(job.overrides) for job in runnable[start:end]]
                returns += self.launcher.launch(batch, initial_job_idx=runnable[start].number)
                start = end
        return returns

    def _open_journal(self, directory: Path, swept: list[str], planned: list[Planned], given: list[str]) -> Journal:
        config = next(each.job.config for each in planned if each.job is not None)
        refused = "; ".join(f"job {job.number} ({job.name}): {job.problem}" for job in planned if job.problem)
        asked = {
            "sweep.overrides": " ".join(given),
            "sweep.jobs": len(planned),
            "sweep.refused": refused[:5000] or None,
        }
        return open_parent(
            directory,
            config,
            kind="sweep",
            name=f"{' x '.join(swept) or 'sweep'}: {len(planned)} runs",
            overrides=given,
            swept=swept,
            jobs=len(planned),
            params=asked,
        )

    def _end(
        self, directory: Path, planned: list[Planned], returns: list[JobReturn], journal: Journal
    ) -> list[JobReturn]:
        """Print the table, close the journal, and raise if any job failed."""
        not_run = sum(job.problem is not None for job in planned)
        failed = not_run + sum(job.status is not JobStatus.COMPLETED or _has_failed(job) for job in returns)
        tables.print_jobs(planned)
        if not failed:
            journal.close("FINISHED")
            return returns
        reason = f"{failed} of {len(planned)} jobs failed"
        journal.close("FAILED", reason)
        raise NnlabError(f"{reason}; the others are recorded in {directory}", exit_code=1)


def _has_failed(job: JobReturn) -> bool:
    outcome: Outcome = job.return_value
    return outcome.status == "FAILED"
