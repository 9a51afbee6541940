"""Explanation: what is wrong with overrides, in one line, instead of what Hydra and OmegaConf say of it."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Sweep
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nnlab import paths
from nnlab.components import unknown_key
from nnlab.config import GROUPS
from nnlab.errors import NnlabError
from nnlab.one_line import one_line

CONFIG_NAME = "config"
_OF_LAYERS = {"architecture.activations": "activation", "initializer.layers": "initializer"}
"""Sections with a choice for single layers, by position, and its group."""
_SHOWN = 200  # characters of an override


@contextmanager
def hydra_errors(overrides: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra and OmegaConf raise into one line, and leave nothing of Hydra's behind."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", r"provider=.* is not available", UserWarning)
            yield
    except UserWarning as error:  # of a folder on the search path
        raise NnlabError(f"{re.sub('^provider=', '', str(error)).rstrip('.')}: there is no such folder") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, overrides) from error
    finally:
        GlobalHydra.instance().clear()


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse what Hydra ends with a traceback for.

    Raises:
        HydraException: one can't be parsed.
        NnlabError: it can, but is of no use.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except ValueError as error:  # Python reads no whole numbers of more than 4,300 digits
        raise NnlabError(one_line(f"an override has a number that is too long: {error}")) from error
    for override in parsed:
        check_override(override)


def check_override(override: Override) -> None:
    """Refuse what Hydra ends with a traceback for: no key, or no name where a choice of a group is to be named.

    Raises:
        NnlabError: it is a number, say, or null.
    """
    group, value = override.key_or_group, override.value()
    if not group:
        raise _no_override(override.input_line or "")
    is_group = group in (*GROUPS, "experiment") or group.startswith("hydra/")
    is_name = isinstance(value, (str, dict, Sweep, Glob)) or (value is None and override.is_delete())
    if not is_group or is_name or (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return
    if value is None and group in GROUPS:
        raise NnlabError(f"{override.input_line}: a run can't do without; `nnlab train --help` lists the choices")
    raise NnlabError(f"{override.input_line}: a choice of {group} is a name; `nnlab train --help` lists them")


def explain(error: Exception, overrides: Sequence[str] = ()) -> NnlabError:
    """Return what Hydra or OmegaConf raised as an error of one line that lists the choices.

    Args:
        error: what was raised.
        overrides: that led to it; with their group choices, the keys of just these groups are listed.
    """
    text = str(error) or type(error).__name__
    first = text.splitlines()[0].strip()
    if own := re.match(r"NnlabError raised while resolving interpolation: (.*)", first):  # by a resolver of ours
        return NnlabError(own[1])
    if several := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '([^']+)'", text):
        return NnlabError(f"{several[1]}: several values: add -m for a sweep, or write a list as key=[a,b]")
    if twice := re.match(r"Multiple values for (\S+)\. To override", first):
        return NnlabError(f"{twice[1]}: there is a choice already; to take another, write {twice[1]}=NAME without a +")
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        choices = ", ".join(sorted(error.options or ()))
        return NnlabError(f"{group}={name}: there is no such choice; choose from {choices}" if group else first)
    if isinstance(error, OverrideParseException):
        calls = re.search(r"^\w+ while evaluating '.*?': (.*)$", text, re.MULTILINE)
        return _no_override(error.override, calls[1] if calls else None)
    if first.startswith("Error merging override ") and error.__cause__:
        return NnlabError(f"{first.removeprefix('Error merging override ')}: {str(error.__cause__).splitlines()[0]}")
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"override '([^'=]+)", text)):
        return _no_key(found[1].lstrip("+~"), getattr(error.__cause__, "full_key", None), overrides)
    if key := getattr(error, "full_key", None):
        return NnlabError(f"{key}: {first}")
    return NnlabError(first)


def _no_override(override: str, reason: str | None = None) -> NnlabError:
    """Return what is wrong with an argument that Hydra's grammar refuses."""
    shown = one_line(repr(override[:_SHOWN]))
    if reason is not None:
        return NnlabError(f"{shown} is no override: {reason}")
    key, equals, value = override.partition("=")
    if not equals or not re.fullmatch(r"(\+\+?|~)?[\w./-]+(@[\w./:-]+)?", key, re.ASCII):
        return NnlabError(f"{shown} is no override: write key=value or group=choice")
    escaped = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
    quoted = shlex.quote(f'{key}="{escaped}"')
    example = f"; as text it would be {quoted}" if len(value) < _SHOWN and value.isprintable() else ""
    return NnlabError(
        f"{shown}: brackets and quotes must be closed, and text of more than plain letters stands in quotes{example}"
    )


def _no_key(key: str, inner: str | None, overrides: Sequence[str]) -> NnlabError:
    """Return what is wrong with a key that is not there, or with one in the section that it is to be."""
    place = inner if inner and inner.startswith(f"{key}.") else key
    section, _, position = place.rpartition(".")
    if group := _OF_LAYERS.get(section):
        return NnlabError(f"{place}: a layer gets a choice by its position: +{group}@{section}.{position}=NAME")
    if position in (known := _known_keys(place, overrides)):
        return NnlabError(f"{place}: {section or 'the config'} has no such key any more: another override replaces it")
    return NnlabError(unknown_key(place, known))


def _is_group(key: str) -> bool:
    return key in GROUPS or key.startswith("hydra/")


def _known_keys(key: str, overrides: Sequence[str]) -> list[str]:
    """Return the keys beside ``key`` in the config with the same group choices."""
    choices = [each for each in overrides if re.fullmatch(r"[\w/]+=[\w-]+", each) and _is_group(each.partition("=")[0])]
    loader = ConfigLoaderImpl(create_config_search_path(str(paths.conf_dir())))  # Hydra's may be gone by now
    try:
        node: Any = loader.load_configuration(CONFIG_NAME, choices, RunMode.RUN)
    except HydraException:  # one of the choices is itself wrong, or from a folder of the user's
        node = loader.load_configuration(CONFIG_NAME, [], RunMode.RUN)
    for part in key.split(".")[:-1]:
        if not OmegaConf.is_dict(node) or part not in node:
            return []
        node = node._get_node(part)
    hidden = ("_target_", "hydra")
    return [str(name) for name in node if name not in hidden] if OmegaConf.is_dict(node) else []
