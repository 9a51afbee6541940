"""Settings: Hypothesis strategies for command lines of ``nnlab train``, from sensible ones to those nobody meant."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from benchmarks.faults.odd.odd_overrides import (
    GRAMMAR,
    INTERPOLATIONS,
    LENGTHS,
    LISTS,
    NUMBERS,
    SENSIBLE,
    STRANGE,
    TEXTS,
    WRONG_LENGTHS,
)
from nnlab import paths
from nnlab.config import GROUPS

_HIDDEN = ("_target_", "defaults", "hydra")
_LONG_RUNNING = ("training.epochs", "training.updates")


@functools.cache
def _nodes() -> dict[str, dict[str, dict[str, Any]]]:
    """Return every choice of every group with its keys."""
    return {
        group: {
            path.stem: yaml.safe_load(path.read_text()) for path in sorted(paths.conf_dir().glob(f"{group}/*.yaml"))
        }
        for group in GROUPS
    }


@functools.cache
def _keys() -> dict[str, Any]:
    """Return the keys that every config has, with what they are by default."""
    root = yaml.safe_load((paths.conf_dir() / "config.yaml").read_text())
    return _flat({key: value for key, value in root.items() if key not in _HIDDEN}, "")


def _flat(node: dict[str, Any], place: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{place}{key}.") if isinstance(value, dict) and value else {f"{place}{key}": value}
    return flat


@st.composite
def _value(draw: st.DrawFn, default: Any) -> str:
    """Draw a value for a key: half of the time something like what it is by default, else anything."""
    if draw(st.booleans()):
        return draw(_near(default))
    any_of = (NUMBERS, LISTS, TEXTS, INTERPOLATIONS, GRAMMAR)
    known = st.sampled_from(any_of).flatmap(st.sampled_from)
    numbers = st.one_of(st.integers().map(str), st.floats().map(repr))
    return str(draw(st.one_of(known, known, known, _quoted(), numbers)))


def _near(default: Any) -> st.SearchStrategy[str]:
    """Return values of a default's type, most of them of its size."""
    if isinstance(default, bool):
        return st.sampled_from(["true", "false"])
    if isinstance(default, int):
        return st.integers(-1, 2 * abs(default) + 2).map(str)
    if isinstance(default, float):
        return st.one_of(st.sampled_from([0.0, default, default / 10, 2 * default, 1.0]), st.floats(0, 2)).map(repr)
    if isinstance(default, list):
        number = st.one_of(st.integers(-1, 9), st.floats(0, 2))
        return st.lists(number, max_size=4).map(lambda values: json.dumps(values, separators=(",", ":")))
    known = [
        "null",
        "1",
        "5",
        str(default),
        "whole",
        "stratified",
        "val/loss",
        "train/accuracy",
        "sum",
        "update",
        "avg",
    ]
    return st.sampled_from(known)


def _quoted() -> st.SearchStrategy[str]:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # what is no Unicode is no argument either
    return text.map(lambda drawn: "'" + drawn.replace("\\", "\\\\").replace("'", "\\'") + "'")


@st.composite
def _choice(draw: st.DrawFn, group: str, files: Sequence[Path]) -> list[str]:
    """Draw a choice of a group, and some of its keys."""
    choices = _nodes()[group]
    name = draw(st.sampled_from([*choices] * 4 + ["nope", "Sgd", "null", "1", "a,b"]))
    node = _flat({key: value for key, value in choices.get(name, {}).items() if key not in _HIDDEN}, f"{group}.")
    keys = draw(st.lists(st.sampled_from([*node, f"{group}.nope"]), max_size=2, unique=True))
    found = [f"{group}={name}", *(f"{key}={draw(_value(node.get(key)))}" for key in keys)]
    if name in ("csv", "npz") and draw(st.integers(0, 9)):
        alike = [path for path in files if path.suffix == f".{name}"]
        found.append(f"dataset.path='{draw(st.sampled_from(alike))}'")
        found += ["dataset.target=kind"] if name == "csv" and draw(st.integers(0, 9)) else []
    return found


@st.composite
def commands(draw: st.DrawFn, files: Sequence[Path]) -> list[str]:
    """Draw the arguments of ``nnlab train``, its runs short as a rule.

    Args:
        draw: Hypothesis'.
        files: data files of one's own.
    """
    # Most of them are wrong in one place at most: the first thing wrong is all that a refusal names.
    shape = draw(st.sampled_from(["sensible", "sensible", "key", "strange", "anything"]))
    groups = draw(st.lists(st.sampled_from(GROUPS[:-1]), max_size=4, unique=True))
    arguments: list[str] = []
    for group in groups:
        some = draw(_choice(group, files))
        names = [
            each for each in some if each.partition("=")[2] in _nodes()[group] or "path" in each or "target" in each
        ]
        arguments += some if shape == "anything" else names
    if shape in ("key", "anything"):
        for key in draw(st.lists(st.sampled_from([*_keys()]), min_size=1, max_size=3 if shape == "anything" else 1)):
            if key not in _LONG_RUNNING:
                arguments.append(f"{key}={draw(_value(_keys()[key]))}")
    if shape == "sensible":
        arguments += draw(st.lists(st.sampled_from(SENSIBLE), max_size=4, unique=True))
    if shape in ("strange", "anything"):
        arguments.append(draw(st.sampled_from(STRANGE)))
    if draw(st.integers(0, 11)) == 11:
        swept = st.sampled_from(["seed=1,2", "activation=relu,nope", "optimizer.lr=0.1,x", "seed=range(0)"])
        at = draw(st.integers(0, len(arguments)))
        arguments[at:at] = ["-m", "hydra.launcher.backend=sequential", draw(swept)]
    length = draw(st.sampled_from(LENGTHS * 4 + WRONG_LENGTHS))
    if any("experiment" in each for each in arguments):
        length = "training.epochs=2"
        arguments.append("training.updates=null")
    return ["train", *([] if any("tracking" in each for each in arguments) else ["tracking=none"]), *arguments, length]
