"""Sweeps for tests: planned as the command line plans them, and written down by hand where that is shorter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig

from nnlab.compose import hydra_app
from nnlab.sweep.composition import Composer
from nnlab.sweep.plan import Planned, plan

QUICK = ("tracking=none", "training.epochs=2")


@contextmanager
def master(overrides: Sequence[str] = (), config_dir: Path | None = None) -> Iterator[tuple[Composer, DictConfig]]:
    """Give a composer of jobs, and the config of the sweep as a whole that it goes by."""
    given = [*overrides, "hydra.mode=MULTIRUN"]
    with hydra_app(given, str(config_dir) if config_dir else None) as app:
        config = app.compose_config("config", given, RunMode.MULTIRUN, with_log_configuration=False)
        loader = app.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        yield Composer(loader, config), config


def planned(jobs: Sequence[Sequence[str]], swept: Sequence[str] = (), hydra: Sequence[str] = ()) -> list[Planned]:
    """Plan jobs whose overrides are given one by one."""
    with master(hydra) as (composer, _):
        return plan(jobs, swept, composer.compose, Path("sweep").resolve())
