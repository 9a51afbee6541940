"""RecordedSweeper: Hydra's grid of jobs, with a record of the sweep as a whole.

Only Hydra itself may import this module: it loads its own plugins again when it looks for others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nnlab import paths
from nnlab.compose import own_directory
from nnlab.errors import naming
from nnlab.mirroring import say_where
from nnlab.output import say
from nnlab.sweep import course, finished, tables
from nnlab.sweep.composition import Composer
from nnlab.sweep.extent import check_extent
from nnlab.sweep.frozen import freeze
from nnlab.sweep.launcher import StackedLauncher
from nnlab.sweep.plan import Planned, Sweep, plan


class RecordedSweeper(BasicSweeper):
    """Hydra's basic sweeper, that checks and freezes every job first, lets none stop the others, and journals it all.

    The sweep's own journal, in its directory, becomes the parent run in MLflow. It is open, and so locked, as long as
    the sweep is at work. Jobs find it, and what they are to do, by Hydra's ``sweep.dir``, in whatever process they run.
    """

    def sweep(self, arguments: list[str]) -> Path:
        """Run the jobs that ``arguments`` (overrides with commas, ranges, choices) span; return their directory.

        Raises:
            NnlabError: no job can be run, or some failed; the table of all has been printed then.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, when the records are closed.
        """
        assert self.config is not None  # noqa: S101 - setup() has been called
        directory = own_directory(Path(str(self.config.hydra.sweep.dir)), "hydra.sweep.dir")
        say_where(self.config.tracking.enabled)
        say(f"sweep    {directory}")
        sweep = self._plan(arguments, directory)
        directory.mkdir(parents=True, exist_ok=True)
        with naming(directory / "multirun.yaml"):
            OmegaConf.save(self.config, directory / "multirun.yaml")
        freeze(sweep)
        tables.print_plan(sweep.planned)
        course.run(sweep, lambda _: self._launch(sweep.planned))
        return directory

    def _plan(self, arguments: list[str], directory: Path) -> Sweep:
        assert self.config is not None  # noqa: S101
        assert self.hydra_context is not None  # noqa: S101
        loader: Any = self.hydra_context.config_loader
        given = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(loader).parse_overrides(given)
        check_extent(overrides)
        swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
        jobs = [job for batch in self.split_arguments(overrides, None) for job in batch]
        planned = plan(jobs, swept, Composer(loader, self.config).compose, directory)
        launcher: Any = OmegaConf.to_container(self.config.hydra.launcher, resolve=True)
        if launcher.get("skip_finished"):
            planned = finished.refer(planned, paths.outputs_dir())
        return Sweep(directory, tuple(given), tuple(swept), launcher, tuple(planned))

    def _launch(self, planned: tuple[Planned, ...]) -> None:
        """Launch what is to be trained: all at once by the launcher that knows the plan, else in stretches.

        Those are of consecutive numbers, so that a job keeps its number where others before it can't run.
        """
        assert self.launcher is not None  # noqa: S101 - setup() has been called
        if isinstance(self.launcher, StackedLauncher):
            self.launcher.launch([list(job.overrides) for job in planned], initial_job_idx=0)
            return
        stretch: list[Planned] = []
        for job in (*planned, None):
            if job is not None and job.is_to_train:
                stretch.append(job)
            elif stretch:
                self.launcher.launch([list(each.overrides) for each in stretch], initial_job_idx=stretch[0].number)
                stretch = []
