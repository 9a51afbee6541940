"""The door through which Hydra finds nnlab's sweeper; all code is in ``nnlab.sweep``."""

from hydra.core.config_store import ConfigStore

from nnlab.sweep.sweeper import RecordedSweeper


class NnlabSweeper(RecordedSweeper):
    """Defined here because Hydra takes plugins from this namespace only."""


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="nnlab",
    node={"_target_": f"{__name__}.NnlabSweeper", "max_batch_size": None, "params": None},
    provider="nnlab",
)
