"""Composition: from Hydra's overrides to a Job."""

from __future__ import annotations

import functools
import json
import os
import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nnlab import paths
from nnlab.config import Config, validate
from nnlab.errors import NnlabError
from nnlab.explanation import CONFIG_NAME, check_overrides, hydra_errors

NOT_OF_THE_RUN = ("hydra", "experiment", "claim")
"""Keys of a composed config that are not a run's: Hydra's own, and what an experiment claims to reach."""
VERSION_BASE = "1.3"
_PATHS = (("dataset", "path"), ("initializer", "from"))
"""Settings that are places: they stay what they were when a run is gone on with from another folder."""


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Attributes:
        config: validated.
        choices: group -> name of the choice.
        overrides: as given on the command line.
        directory: the run's own, absolute.
    """

    config: Config
    choices: dict[str, str]
    overrides: tuple[str, ...]
    directory: Path


def stamp() -> str:
    """Return a new name for the directory of a run or a sweep, sorted by time."""
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{uuid.uuid4().hex[:6]}"  # local time, and no ':' for Windows


def register(experiments: Sequence[Path] = ()) -> None:
    """Tell Hydra about our resolvers and about ``experiments/`` as the group ``experiment``.

    Called once for each command: every call gives a new stamp, the name of the run's or sweep's directory.

    Args:
        experiments: further files of the group.
    """
    own = stamp()
    OmegaConf.register_new_resolver("nnlab.outputs", lambda: str(paths.outputs_dir()), replace=True)
    OmegaConf.register_new_resolver("nnlab.stamp", lambda: own, replace=True)
    for path in [*sorted(paths.experiments_dir().glob("*.yaml")), *experiments]:
        _store(path, path.stat().st_mtime_ns)
    if experiments:  # one may have the name of one of ours, which is then to be stored again
        _store.cache_clear()


@functools.cache
def _store(path: Path, _changed: int) -> None:
    """Give Hydra an experiment's file: once, as parsing and copying them all takes longer than composing a run.

    The group's folder has another name than the group, so Hydra's search path can't find it by itself.
    """
    node = OmegaConf.load(path)
    ConfigStore.instance().store(group="experiment", name=path.stem, node=node, package="_global_", provider="nnlab")


@contextmanager
def hydra_app(
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    config_path: str | None = None,
    experiments: Sequence[Path] = (),
) -> Iterator[Hydra]:
    """Give Hydra's own application object, with our configs on its search path.

    What it raises inside the block comes out as one line.

    Args:
        overrides: what is going to be composed; for error messages.
        config_dir: a further folder of configs, searched first.
        config_path: instead of the shipped ``conf/``.
        experiments: files beside those of ``experiments/``.

    Raises:
        NnlabError: whatever is wrong with the configuration.
    """
    for given in (config_dir, config_path):
        if given is not None and not Path(given).is_dir():
            raise NnlabError(f"{given}: there is no such folder of configs")
    register(experiments)
    search_path = create_config_search_path(str(Path(config_path).resolve()) if config_path else str(paths.conf_dir()))
    if config_dir is not None:
        anchor = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{Path(config_dir).resolve()}", anchor)
    GlobalHydra.instance().clear()
    version.setbase(VERSION_BASE)
    with hydra_errors(overrides):
        check_overrides(overrides)
        yield Hydra.create_main_hydra2("train", search_path)


def _directory(hydra: DictConfig) -> Path:
    if hydra.runtime.get("output_dir"):  # Hydra has made it
        return Path(str(hydra.runtime.output_dir)).resolve()
    if hydra.mode is RunMode.MULTIRUN:
        return Path(str(hydra.sweep.dir), str(hydra.sweep.subdir)).resolve()
    return Path(str(hydra.run.dir)).resolve()


def compose_job(
    hydra: Hydra,
    overrides: Sequence[str],
    config_name: str = CONFIG_NAME,
    *,
    shipped_only: bool = False,
    trusted: Collection[str] = (),
) -> Job:
    """Compose and validate one run's config, writing nothing; the last two arguments are those of ``validate``.

    Raises:
        HydraException, OmegaConfBaseException: it can't be composed.
        NnlabError: one line about the first thing that is wrong with it.
    """
    composed = hydra.compose_config(config_name, list(overrides), RunMode.RUN, with_log_configuration=False)
    return job_from(composed, shipped_only=shipped_only, trusted=trusted)


def job_from(composed: DictConfig, *, shipped_only: bool = False, trusted: Collection[str] = ()) -> Job:
    """Return the validated job of a composed config, its ``hydra`` node included; see ``validate``.

    Raises:
        OmegaConfBaseException: an interpolation can't be resolved.
        NnlabError: one line about the first thing that is wrong.
    """
    hydra = composed.hydra
    before = HydraConfig.instance().cfg
    # What ${hydra:...} looks at; set_config() would copy it, which takes longer than all the rest.
    HydraConfig.instance().cfg = composed  # type: ignore[assignment]
    try:
        values = {str(key): _resolved(composed, key) for key in composed if key not in NOT_OF_THE_RUN}
        directory = _directory(hydra)
    finally:
        HydraConfig.instance().cfg = before
    for group, key in _PATHS:
        if isinstance(node := values.get(group), dict) and isinstance(node.get(key), str) and node[key]:
            node[key] = os.path.abspath(os.path.expanduser(node[key]))  # noqa: PTH100, PTH111 - any text, even no path
    config = validate(values, shipped_only=shipped_only, trusted=trusted)
    chosen = {str(group): name for group, name in hydra.runtime.choices.items() if not str(group).startswith("hydra/")}
    return Job(
        config,
        {group: str(name) for group, name in chosen.items() if name is not None},
        tuple(str(override) for override in hydra.overrides.task),
        directory,
    )


def _resolved(composed: DictConfig, key: Any) -> Any:
    value = composed[key]
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if OmegaConf.is_config(value) else value


def own_directory(directory: Path, key: str) -> Path:
    """Refuse a directory that holds something: what is recorded there would be mixed with it.

    Args:
        directory: to be trained in.
        key: that it was given by.

    Returns:
        the directory, absolute.

    Raises:
        NnlabError: it is not empty.
    """
    directory = directory.resolve()
    if directory == Path.cwd() or (directory.is_dir() and any(directory.iterdir())):
        raise NnlabError(f"{key}={directory}: it is in use or not empty; a run needs a directory of its own")
    return directory


def as_override(key: str, value: Any) -> str:
    """Return a setting as Hydra reads it on the command line."""
    return f"{key}={_in_grammar(value)}"


def _in_grammar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_in_grammar(each) for each in value)}]"
    text = str(value)
    if isinstance(value, str) and not re.fullmatch(r"[\w./+-]+", text):
        escaped = text.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return text
