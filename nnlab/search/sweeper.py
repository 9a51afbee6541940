"""OptunaSweeper: Hydra's door to a search; ``hydra/sweeper=optuna`` opens it.

Only Hydra itself may import this module: it loads its own plugins again when it looks for others. Optuna is imported
when a search begins, as most commands can do without.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nnlab.components import validated
from nnlab.compose import own_directory
from nnlab.errors import NnlabError, naming
from nnlab.mirroring import say_where
from nnlab.output import say
from nnlab.sweep.composition import Composer
from nnlab.sweep.frozen import freeze
from nnlab.sweep.launcher import StackedLauncher
from nnlab.sweep.plan import Sweep
from nnlab.sweep.sweeper import RecordedSweeper
from nnlab.sweep.trials import Search, Settings

_SUBDIR = "${hydra.job.num}"


class OptunaSweeper(RecordedSweeper):
    """A sweep whose jobs are those of trials that Optuna asks for; its settings are ``trials.Settings``."""

    def __init__(self, **_settings: Any) -> None:
        super().__init__(max_batch_size=None)

    def sweep(self, arguments: list[str]) -> Path:
        """Search the space that ``arguments`` (overrides with intervals, ranges, choices) span.

        Returns:
            the directory of the sweep.

        Raises:
            NnlabError: Optuna is not installed, settings or space can't work, or no trial came to its end.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, when the records are closed.
        """
        assert self.config is not None  # noqa: S101 - setup() has been called
        _check_installed()
        from nnlab.search import asking, loop, report, secrets, space, storage

        given = OmegaConf.to_container(self.config.hydra.sweeper, resolve=True)
        secrets.hide(self.config)
        settings = _settings(given)
        directory = own_directory(Path(str(self.config.hydra.sweep.dir)), "hydra.sweep.dir")
        url = storage.address(settings.storage, directory)
        name = settings.study_name or directory.name
        kept = settings.model_copy(update={"storage": settings.storage and storage.shown(url), "study_name": name})
        say_where(self.config.tracking.enabled)
        say(f"sweep    {directory}")
        sweep = self._plan_search(arguments, directory, kept)
        if settings.storage is None:
            directory.mkdir(parents=True, exist_ok=True)
        study = storage.open_study(url, name, settings.way)
        assert sweep.search is not None  # noqa: S101 - it is a search
        asking.check_space(study.get_trials(deepcopy=False), space.dimensions(sweep.search.space))
        directory.mkdir(parents=True, exist_ok=True)
        with naming(directory / "multirun.yaml"):
            OmegaConf.save(self.config, directory / "multirun.yaml")
        freeze(sweep)
        report.say_plan(sweep, study, url)
        loop.run(sweep, study, url)
        return directory

    def _plan_search(self, arguments: list[str], directory: Path, settings: Settings) -> Sweep:
        from nnlab.search import jobs, space

        assert self.config is not None  # noqa: S101
        assert self.hydra_context is not None  # noqa: S101
        if not isinstance(self.launcher, StackedLauncher):
            raise NnlabError(
                "hydra/sweeper=optuna trains with hydra/launcher=stacked: runs of other ones can't be pruned"
            )
        if self.launcher.skip_finished:
            raise NnlabError("hydra.launcher.skip_finished=true: a search trains all of its trials itself")
        if OmegaConf.to_container(self.config.hydra.sweep)["subdir"] != _SUBDIR:  # type: ignore[index, call-overload]
            raise NnlabError("hydra.sweep.subdir: a search numbers its jobs' directories itself")
        loader: Any = self.hydra_context.config_loader
        overrides = OverridesParser.create(loader).parse_overrides(arguments)
        swept = [override for override in overrides if override.is_sweep_override()]
        if not swept:
            raise NnlabError(
                "there is no space to search: give settings several values: optimizer.lr='tag(log,interval(0.001,1))' "
                "or activation=relu,tanh"
            )
        dimensions = space.dimensions(swept)
        keys = [each.key for each in dimensions]
        if "seed" in keys:
            raise NnlabError("seed: the runs of a trial differ in it; hydra.sweeper.seeds says how many there are")
        fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        groups = [o.get_key_element() for o in swept if loader.repository.group_exists(o.key_or_group)]
        bases = jobs.plan_bases(fixed, dimensions, groups, Composer(loader, self.config).compose, directory)
        _check_metric(settings.metric, bases[0])
        search = Search(settings, tuple(each.override for each in dimensions), tuple(groups), tuple(bases))
        launcher: Any = OmegaConf.to_container(self.config.hydra.launcher, resolve=True)
        named = (*keys, "seed") if settings.seeds > 1 else tuple(keys)
        return Sweep(directory, tuple(arguments), named, launcher, (), search)


def _check_installed() -> None:
    try:
        found = metadata.version("optuna")
    except metadata.PackageNotFoundError:
        raise NnlabError(
            "hydra/sweeper=optuna wants Optuna, which is not installed: pip install 'nnlab[optuna]'"
        ) from None
    if int(found.partition(".")[0]) != 5:
        raise NnlabError(f"hydra/sweeper=optuna wants Optuna 5, and {found} is installed: pip install 'nnlab[optuna]'")


def _settings(given: Any) -> Settings:
    settings = {key: value for key, value in given.items() if key != "_target_"}
    if settings.get("pruner") is None:
        settings["pruner"] = "none"
    checked = validated(Settings, settings, "hydra.sweeper")
    assert isinstance(checked, Settings)  # noqa: S101 - what validated() makes
    return checked


def _check_metric(metric: str, base: Any) -> None:
    """Refuse a metric that the runs don't have, or of the test part, which is to choose nothing."""
    from nnlab.build import build
    from nnlab.build_plan import watchable_metrics

    stack = build([base.job.config])
    known = [*watchable_metrics(base.job.config, stack.parts), *stack.diagnostics.names()]
    if metric not in known:
        why = "a search must not depend on the test part" if metric.startswith("test/") else "the runs have none such"
        raise NnlabError(f"hydra.sweeper.metric={metric}: {why}; choose from {', '.join(known)}")
