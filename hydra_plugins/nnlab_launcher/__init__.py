"""The door through which Hydra finds nnlab's launcher; all code is in ``nnlab.sweep``."""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from nnlab.sweep.launcher import StackedLauncher


class NnlabLauncher(StackedLauncher):
    """Defined here because Hydra takes plugins from this namespace only."""


@dataclass
class NnlabLauncherConfig:
    """The settings below ``hydra.launcher``, with their types."""

    _target_: str = f"{__name__}.NnlabLauncher"
    n_jobs: int | None = None
    max_stack: int | None = None
    backend: str = "loky"
    scheduler: str | None = None
    skip_finished: bool = False


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=NnlabLauncherConfig, provider="nnlab")
