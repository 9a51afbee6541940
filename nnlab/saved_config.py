"""Saved config: a YAML file of somebody else's, read as data: nothing in it is run, imported or looked up."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from nnlab import regular_file
from nnlab.config import GROUPS, Config, validate
from nnlab.errors import NnlabError
from nnlab.one_line import one_line

MAX_BYTES, MAX_NODES, MAX_DEPTH = 1_000_000, 10_000, 20
MAX_TEXT = 4096  # characters of one value: a path may have so many
MAX_INTEGER = 2**128  # a seed may have so many bits
_LONGEST_KEY, _LONGEST_NUMBER = 200, 200  # characters
_MOST_THREADS = 1024
_CHOICE = re.compile(r"[\w./-]{1,200}")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")  # all but the tab, which separates columns

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is the faster one, and not everywhere
_SCALARS = yaml.constructor.SafeConstructor()
_PLAIN = {
    "tag:yaml.org,2002:null": _SCALARS.construct_yaml_null,
    "tag:yaml.org,2002:bool": _SCALARS.construct_yaml_bool,
    "tag:yaml.org,2002:int": _SCALARS.construct_yaml_int,
    "tag:yaml.org,2002:float": _SCALARS.construct_yaml_float,
    "tag:yaml.org,2002:str": _SCALARS.construct_yaml_str,
}
_TEXT = "tag:yaml.org,2002:str"


def load_config(path: Path, trusted: Collection[str] = ()) -> Config:
    """Read the ``config.yaml`` of a run as somebody else's data.

    Args:
        path: of the file.
        trusted: targets that it may name beside those that ``conf/`` ships, by their exact names.

    Raises:
        NnlabError: it is no valid config, or not one that can be trusted; one line that names file and key.
    """
    return check_config(load_yaml(path), str(path), trusted)


def check_config(node: dict[str, Any], where: str, trusted: Collection[str] = ()) -> Config:
    """Validate a config that somebody else saved, read as plain values.

    Args:
        node: its values.
        where: the file, or the place in it, for messages.
        trusted: as for ``load_config``.

    Raises:
        NnlabError: as ``load_config``.
    """
    check_plain(node, where)
    for place, value in _entries(node, ""):
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise NnlabError(f"{where}: {one_line(place)} has more than {MAX_TEXT:,} characters, which are not read")
        if isinstance(value, str) and _CONTROL.search(value):
            raise NnlabError(one_line(f"{where}: {place}={value!r}: control characters have no place in a setting"))
        if isinstance(value, int) and abs(value) >= MAX_INTEGER:
            raise NnlabError(f"{where}: {one_line(place)}: whole numbers of more than 128 bits are not read")
    try:
        config = validate(node, shipped_only=True, trusted=trusted)
        _check_name(config.experiment_name)
    except NnlabError as error:
        raise NnlabError(one_line(f"{where}: {error}")) from error
    return config


def recorded_choices(params: Mapping[str, Any], config: Config) -> dict[str, str]:
    """Return the groups' choices by name, as a run recorded them; what is no name of a choice is left out.

    Args:
        params: that the run recorded.
        config: of the run.
    """
    places = [*GROUPS, *config.components(), "experiment"]
    recorded = {place: str(params[place]) for place in places if place in params}
    return {place: name for place, name in recorded.items() if _CHOICE.fullmatch(name)}


def used_threads(params: Mapping[str, Any]) -> int | None:
    """Return the BLAS threads that a run had, None if they are not recorded.

    Args:
        params: that the run recorded; as text where they come from MLflow.

    Raises:
        NnlabError: it is no number of threads.
    """
    threads = params.get("training.blas_threads")
    if threads is None:
        return None
    shown = str(threads)[:20]
    if not shown.isdecimal() or not 1 <= int(shown) <= _MOST_THREADS:
        raise NnlabError(f"its param training.blas_threads={shown!r} is no number of threads")
    return int(shown)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of plain values: mappings by text, lists, text, finite numbers, booleans and null.

    Tags, anchors, aliases, merge keys, repeated keys and several documents are refused, as is what is larger or deeper
    than any config. As everywhere in PyYAML, ``1e-3`` is text and ``1.0e-3`` a number.

    Args:
        path: of a regular file in UTF-8.

    Raises:
        NnlabError: it can't be read, or holds anything else; one line that names file and place.
    """
    try:
        text = regular_file.read(path, MAX_BYTES).decode("utf-8-sig")
        _check_events(text)
        root = yaml.compose(text, Loader=_Loader)
        if not isinstance(root, yaml.MappingNode):
            raise NnlabError("it holds no `key: value` lines, so it is no config")
        values: dict[str, Any] = _plain(root, "")
    except UnicodeDecodeError as error:
        raise NnlabError(one_line(f"{path}: it is no UTF-8 text (byte {error.start})")) from error
    except yaml.YAMLError as error:
        raise NnlabError(one_line(f"{path}: it is no YAML: {_problem(error)}")) from error
    except NnlabError as error:
        shown = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
        raise NnlabError(one_line(shown)) from error
    return values


def check_plain(node: Any, where: str) -> None:
    """Refuse what means something to Hydra: keys that reach its own settings, and interpolations.

    Args:
        node: a mapping, list or value, as ``load_yaml`` gives it.
        where: the file, or the place in it, for messages.

    Raises:
        NnlabError: there is such a key or value; one line that names it.
    """
    for place, value in _entries(node, ""):
        if re.search(r"\bhydra\b", place):
            raise NnlabError(one_line(f"{where}: {place}: Hydra's own settings are not taken from a file; remove it"))
        if "${" in place or (isinstance(value, str) and "${" in value):
            shown = f"{place}={value!r}" if isinstance(value, str) else place
            raise NnlabError(one_line(f"{where}: {shown}: nothing is looked up for ${{...}}; write the value itself"))


def _entries(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield what is in a mapping or list, at any depth, each with its place."""
    if isinstance(node, Mapping):
        inside = [(f"{place}.{key}" if place else str(key), value) for key, value in node.items()]
    else:
        inside = [(f"{place}[{n}]", value) for n, value in enumerate(node)] if isinstance(node, list) else []
    for below, value in inside:
        yield below, value
        yield from _entries(value, below)


def _check_events(text: str) -> None:
    """Refuse by the parser's events what would already be too much to be composed."""
    nodes = depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        documents += isinstance(event, yaml.DocumentStartEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise NnlabError(f"line {line} begins a second document; one is all that a config has")
        if depth > MAX_DEPTH:
            raise NnlabError(f"line {line} is nested more than {MAX_DEPTH} deep, which no config is")
        if nodes > MAX_NODES:
            raise NnlabError(f"it holds more than {MAX_NODES:,} values, which no config does")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise NnlabError(f"line {line} has the YAML alias {sign}{event.anchor}; write the value out instead")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise NnlabError(f"line {line} has the YAML tag {event.tag!r}, which makes objects; write a plain value")


def _plain(node: yaml.Node, place: str) -> Any:
    """Return the value of a node."""
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for key, value in node.value:
            below = _key(key, place, values)
            values[key.value] = _plain(value, below)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, f"{place}[{n}]") for n, value in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - the only other kind
    text = node.value
    if len(text) > MAX_TEXT:
        raise NnlabError(f"{place} has {len(text):,} characters; more than {MAX_TEXT:,} are not read")
    if node.tag not in _PLAIN:  # a date, = or <<
        raise NnlabError(f"{place}={text}: a {node.tag.rpartition(':')[2]} is no plain value; put it in quotes")
    if node.tag != _TEXT and len(text) > _LONGEST_NUMBER:
        raise NnlabError(f"{place} is a number of {len(text):,} characters, which is out of any range")
    try:
        value = _PLAIN[node.tag](node)
    except ValueError as error:  # 0x_
        raise NnlabError(f"{place}={text}: it is no number; put text in quotes") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise NnlabError(f"{place}={text}: NaN and infinities are no settings; give a finite number")
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise NnlabError(f"{place}={text}: whole numbers of more than 128 bits are not read")
    return value


def _key(key: yaml.Node, place: str, there: Mapping[str, Any]) -> str:
    """Return the place that a key names."""
    line = f"line {key.start_mark.line + 1}{f', in {place}' if place else ''}"
    if key.tag == "tag:yaml.org,2002:merge":
        raise NnlabError(f"{line}: the merge key << is not taken; write the keys out")
    if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
        shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "of several values"
        raise NnlabError(f"{line}: the key {shown} is no text; put it in quotes")
    if not key.value.isprintable() or len(key.value) > _LONGEST_KEY:
        raise NnlabError(f"{line}: {key.value[:_LONGEST_KEY]!r} is no key: it is too long or can't be printed")
    if key.value in there:
        raise NnlabError(f"{line}: the key {key.value!r} is there twice; keep one")
    return f"{place}.{key.value}" if place else str(key.value)


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).replace("\n", " ")


def _check_name(name: str) -> None:
    """Refuse names of experiments that lead out of the outputs root where a store makes folders of them."""
    path = PureWindowsPath(name)  # which takes both kinds of slashes
    if path.drive or path.root or "\\" in name or not name.isprintable() or {".", ".."} & set(name.split("/")):
        raise NnlabError(
            f"experiment_name={name!r}: it becomes a folder, so it must be printable, not absolute, without \\, . or .."
        )
