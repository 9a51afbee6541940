"""StackedLauncher: Hydra's door to the workers; a sweep's jobs are trained in stacks instead of one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from nnlab import journal, runner
from nnlab.sweep import frozen, hydra_record
from nnlab.sweep.plan import Planned
from nnlab.sweep.progress import SweepProgress
from nnlab.sweep.workers import Task, check_settings, train_all
from nnlab.watcher import Outcome


class StackedLauncher(Launcher):
    """Trains the jobs of a sweep's frozen plan; what Hydra's other launchers compose and run, it takes from there.

    ``hydra.job.chdir`` and Hydra's callbacks of single jobs mean nothing here, as several jobs are trained at once.

    Args:
        n_jobs: processes; null for as many as there are cores.
        max_stack: runs in a stack at most; null for as many as are fast.
        backend: ``loky`` for processes, ``sequential`` for this one, ``dask`` for a cluster's workers.
        scheduler: address of the cluster's, ``tcp://HOST:PORT``.
        skip_finished: whether runs that have finished anywhere in the outputs root stand; the plan says which do.

    Raises:
        NnlabError: a setting is out of its range.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        max_stack: int | None = None,
        backend: str = "loky",
        scheduler: str | None = None,
        skip_finished: bool = False,
    ) -> None:
        super().__init__()
        self.n_jobs, self.max_stack, self.backend, self.scheduler = n_jobs, max_stack, backend, scheduler
        self.skip_finished = skip_finished
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:  # noqa: ARG002
        """Take the sweep's config, and check the settings, which Hydra would wrap in an error of its own before."""
        check_settings(self.n_jobs, self.max_stack, self.backend, self.scheduler)
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Train jobs of the sweep's plan.

        Args:
            job_overrides: the overrides of each, which the plan knows already.
            initial_job_idx: number of the first; those that can't run or stand already are passed over.

        Returns:
            for each job its outcome.

        Raises:
            KeyboardInterrupt: on Ctrl-C or SIGTERM, when the workers are gone.
        """
        assert self.config is not None  # noqa: S101 - setup() has been called
        directory = Path(self.config.hydra.sweep.dir).resolve()
        planned = frozen.own(directory).planned[initial_job_idx : initial_job_idx + len(job_overrides)]
        tasks = [task for each in planned if (task := _task(each))]
        with SweepProgress(directory) as progress:
            train_all(
                tasks,
                parent=journal.read(directory).run["run_id"],
                progress=progress,
                n_jobs=self.n_jobs,
                max_stack=self.max_stack,
                backend=self.backend,
                scheduler=self.scheduler,
                begin=lambda task: hydra_record.write(task.directory, planned[task.number - initial_job_idx]),
            )
        return [_returned(each, progress) for each in planned]


def _task(each: Planned) -> Task | None:
    if each.job is None or each.stands is not None:
        return None
    name = each.name or runner.default_name(each.job)
    return Task(each.number, each.job, each.job.directory, name, data_hash=each.data_hash)


def _returned(each: Planned, progress: SweepProgress) -> JobReturn:
    standing = Outcome("FAILED", each.problem) if each.job is None else Outcome("FINISHED")
    returned = JobReturn(overrides=each.overrides, working_dir=str(Path.cwd()), status=JobStatus.COMPLETED)
    returned.return_value = progress.outcomes.get(each.number, standing)
    return returned
