"""Experiments: the files of ``experiments/``, what each claims, and the jobs that it takes to find out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnlab import paths
from nnlab.components import validated
from nnlab.compose import Job, as_override, compose_job, hydra_app
from nnlab.config import GROUPS
from nnlab.errors import NnlabError
from nnlab.reproduction.claims import Claim, Protocol
from nnlab.saved_config import check_plain, load_yaml

QUICK_SECONDS = 60.0
"""``--quick`` leaves out what costs more."""


@dataclass(frozen=True)
class Experiment:
    """One file, with its claim.

    Attributes:
        name: of the file, without its ending.
        path: of the file.
        claim: what it says that it reaches.
    """

    name: str
    path: Path
    claim: Claim

    def protocols(self) -> Iterator[tuple[str, Protocol]]:
        """Yield the protocols by the name of their sweep: the source's own, then the honest one."""
        yield self.name, self.claim
        if self.claim.honest is not None:
            yield f"{self.name}-honest", self.claim.honest


def names() -> list[str]:
    """Return what ``find`` takes beside files: ``all``, ``own`` and the names of the shipped experiments."""
    return ["all", "own", *_shipped()]


def _shipped() -> dict[str, Path]:
    """Return the shipped files by name, 5 before 20."""
    by_name = {path.stem: path for path in paths.experiments_dir().glob("*.yaml")}
    parts = {name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)] for name in by_name}
    return {name: by_name[name] for name in sorted(by_name, key=parts.__getitem__)}


def find(what: str, *, quick: bool = False) -> list[Experiment]:
    """Return the experiments that ``nnlab reproduce WHAT`` means.

    Args:
        what: ``all`` (those of the published systems), ``own`` (nnlab's own), the name of one, or a file.
        quick: only those that cost at most ``QUICK_SECONDS``.

    Raises:
        NnlabError: there is none such, or a file is wrong.
    """
    shipped = _shipped()
    if what in ("all", "own"):
        claiming = (read(path) for path in shipped.values() if "claim" in load_yaml(path))
        found = [experiment for experiment in claiming if (experiment.claim.system == "own") == (what == "own")]
    elif what in shipped:
        found = [read(shipped[what])]
    elif Path(what).is_file():
        found = [read(Path(what).resolve())]
    else:
        raise NnlabError(
            f"{what!r} is no experiment, file, run directory or MLflow run id; choose from {', '.join(names())}"
        )
    if not quick:
        return found
    cheap = [experiment for experiment in found if experiment.claim.cost <= QUICK_SECONDS]
    if not cheap:
        raise NnlabError(f"--quick leaves nothing of {what}: each of it costs more than {QUICK_SECONDS:.0f} s")
    return cheap


def read(path: Path) -> Experiment:
    """Read a file's claim.

    Raises:
        NnlabError: it is no experiment, claims nothing, or its claim is wrong; one line that names file and key.
    """
    node = load_yaml(path)
    if "claim" not in node:
        raise NnlabError(f"{path} claims nothing: there is no `claim` in it, so there is nothing to reproduce")
    try:
        if not isinstance(node["claim"], dict):
            raise NnlabError("claim: it is a section; set system, kind, protocol, cost, seeds and figures in it")
        claim = validated(Claim, node["claim"], "claim")
    except NnlabError as error:
        raise NnlabError(f"{path}: {error}") from error
    if not re.fullmatch(r"[\w-]+", path.stem):
        raise NnlabError(f"{path}: the name of an experiment is made of letters, digits, - and _")
    assert isinstance(claim, Claim)  # noqa: S101 - what validated() makes
    if path.stem in _shipped() and path.parent != paths.experiments_dir():
        raise NnlabError(f"{path}: nnlab ships an experiment of this name; give the file another")
    return Experiment(path.stem, path, claim)


def jobs(experiment: Experiment, protocol: Protocol, trusted: Collection[str] = ()) -> list[Job]:
    """Return one job a seed, validated; their directories are nobody's yet.

    Args:
        experiment: whose configuration.
        protocol: of this experiment.
        trusted: targets that a file which nnlab doesn't ship may name, beside those of ``conf/``.

    Raises:
        NnlabError: the experiment can't be composed, or names what nnlab doesn't ship.
    """
    is_shipped = experiment.path.parent == paths.experiments_dir()
    if not is_shipped:
        _check_foreign(experiment.path)
    settings = {**protocol.overrides, "experiment_name": "nnlab-reproduce"}
    overrides = [f"experiment={experiment.name}", *(as_override(key, value) for key, value in settings.items())]
    extra = [] if is_shipped else [experiment.path]
    with hydra_app(overrides, experiments=extra) as app:
        job = compose_job(app, overrides, shipped_only=not is_shipped, trusted=trusted)
    return [
        dataclasses.replace(
            job,
            config=job.config.model_copy(update={"seed": seed}),
            overrides=(*(each for each in overrides if not each.startswith("experiment_name=")), f"seed={seed}"),
        )
        for seed in protocol.seeds
    ]


def _check_foreign(path: Path) -> None:
    """Refuse what somebody else's experiment may not do: have Hydra look beyond ``conf/``, or at the environment."""
    node = load_yaml(path)
    check_plain(node, str(path))
    choice = re.compile(rf"(override )?/({'|'.join(GROUPS)})(@[\w.]+)?")
    for entry in node.get("defaults", []):
        keys = entry if isinstance(entry, dict) else {}
        if entry != "_self_" and not (
            keys and all(choice.fullmatch(key) and re.fullmatch(r"[\w-]+", str(name)) for key, name in keys.items())
        ):
            raise NnlabError(f"{path}: defaults: {entry!r} is no choice; write `override /group: choice`")
