"""Secrets: a storage's password, taken out of Hydra's config before anything of it is recorded."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override, read_write

from nnlab.environment import without_password

_KEY = "hydra.sweeper.storage="


def hide(config: DictConfig) -> None:
    """Replace the password of ``hydra.sweeper.storage``, and of the override that gave it, in place.

    An interpolation (``${oc.env:...}``) stays one: it holds no secret.
    """
    with read_write(config), flag_override(config, "struct", False):
        sweeper: Any = config.hydra.sweeper
        node = sweeper._get_node("storage")
        if node is not None and not OmegaConf.is_interpolation(sweeper, "storage") and sweeper.storage is not None:
            sweeper.storage = without_password(str(sweeper.storage))
        given = config.hydra.overrides.hydra
        for position, override in enumerate(list(given)):
            if _KEY in override:
                given[position] = without_password(override)
