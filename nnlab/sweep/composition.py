"""Composition: the configs of a sweep's jobs, composed by Hydra once for each set of group choices."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict
from omegaconf.errors import OmegaConfBaseException

from nnlab.explanation import check_override


class Composition(NamedTuple):
    """The config of one job.

    Attributes:
        config: with its ``hydra`` node.
        settings: the ``hydra`` node, unresolved and without what is the job's own, shared with other jobs.
    """

    config: DictConfig
    settings: Mapping[str, Any]


class _Base(NamedTuple):
    """What jobs with the same group choices have in common: the config without its ``hydra`` node, and that."""

    config: DictConfig
    hydra: DictConfig
    settings: Mapping[str, Any]


class Composer:
    """Composes what ``ConfigLoader.load_sweep_config`` does, 20 times as fast where jobs share their group choices.

    Hydra builds a config in two steps: the files of the defaults list, merged, and then the overrides that set values,
    one after the other. The first takes nearly all of the time and depends on the choices of groups alone, so it is
    done once for each set of them; the second is done by Hydra's own function on a copy.

    Args:
        loader: Hydra's, with the sweep's own config loaded.
        master: the config of the sweep as a whole, with its ``hydra`` node.
    """

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self._base = functools.cache(self._compose_base)
        self._parse = functools.cache(self._parse_one)

    def compose(self, number: int, overrides: Sequence[str]) -> Composition:
        """Return the config of one job, which is good until the next call.

        Args:
            number: of the job.
            overrides: of the job, none of which stands for several values.

        Raises:
            NnlabError: a choice is no name.
            HydraException: an override can't be parsed, or there is nothing that it could override.
        """
        parsed = [self._parse(text) for text in overrides]
        shaping = tuple(each.input_line for each in parsed if self._is_shaping(each))
        base, hydra, settings = self._base(shaping)
        composed = copy.deepcopy(base)
        with flag_override(composed, ["struct", "no_deepcopy_set_nodes"], [False, True]):
            composed.hydra = hydra  # the same one for all jobs: copying it would take longer than all the rest
        try:
            self.loader._apply_overrides_to_config([each for each in parsed if not self._is_shaping(each)], composed)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException from error
        given = [each for each in parsed if not each.is_hydra_override()]
        job = hydra.job
        job.num = number
        job.id = str(number)
        job.override_dirname = get_overrides_dirname(
            overrides=given,
            kv_sep=job.config.override_dirname.kv_sep,
            item_sep=job.config.override_dirname.item_sep,
            exclude_keys=job.config.override_dirname.exclude_keys,
        )
        hydra.overrides.task = [each.input_line for each in given]
        return Composition(composed, settings)

    def _is_shaping(self, override: Override) -> bool:
        """Say whether an override decides which files are merged, as Hydra sees it, or how Hydra works."""
        is_choice = not isinstance(override.value(), dict) and self._is_group(override.key_or_group)
        return is_choice or override.is_hydra_override()

    @functools.cached_property
    def _is_group(self) -> functools._lru_cache_wrapper[bool]:
        return functools.cache(self.loader.repository.group_exists)

    def _parse_one(self, text: str) -> Override:
        (override,) = OverridesParser.create().parse_overrides([text])
        check_override(override)
        return override

    def _compose_base(self, shaping: tuple[str, ...]) -> _Base:
        base = self.loader.load_sweep_config(self.master, list(shaping))
        hydra = base.hydra
        settings: Any = OmegaConf.to_container(hydra, enum_to_str=True)
        with open_dict(base):
            del base["hydra"]
        return _Base(base, hydra, settings)
