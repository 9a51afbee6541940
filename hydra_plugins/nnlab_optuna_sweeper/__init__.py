"""The door through which Hydra finds nnlab's search; all code is in ``nnlab.search``."""

from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore

from nnlab.search.sweeper import OptunaSweeper


class NnlabOptunaSweeper(OptunaSweeper):
    """Defined here because Hydra takes plugins from this namespace only."""


@dataclass
class MedianConfig:
    """Settings of ``hydra.sweeper.pruner=median``."""

    startup_trials: int = 5
    warmup_epochs: int = 0


@dataclass
class SuccessiveHalvingConfig:
    """Settings of ``hydra.sweeper.pruner=successive_halving``."""

    min_epochs: int = 4
    reduction_factor: int = 2


@dataclass
class NnlabOptunaSweeperConfig:
    """The settings below ``hydra.sweeper``, with their types; ``nnlab.sweep.trials.Settings`` has their meaning."""

    _target_: str = f"{__name__}.NnlabOptunaSweeper"
    n_trials: int = 40
    batch: int = 8
    seeds: int = 1
    sampler: str = "tpe"
    sampler_seed: int = 0
    pruner: str | None = "none"
    median: MedianConfig = field(default_factory=MedianConfig)
    successive_halving: SuccessiveHalvingConfig = field(default_factory=SuccessiveHalvingConfig)
    metric: str = "val/loss"
    direction: str | None = None
    storage: str | None = None
    study_name: str | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=NnlabOptunaSweeperConfig, provider="nnlab")
