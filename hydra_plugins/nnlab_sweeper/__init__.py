"""The door through which Hydra finds nnlab's sweeper; the code is in ``nnlab.sweep``."""

from hydra.core.config_store import ConfigStore

from nnlab.sweep.sweeper import NnlabSweeper

__all__ = ["NnlabSweeper"]

ConfigStore.instance().store(
    group="hydra/sweeper",
    name="nnlab",
    node={
        "_target_": "hydra_plugins.nnlab_sweeper.NnlabSweeper",
        "max_batch_size": None,
        "params": None,
    },
    provider="nnlab",
)
