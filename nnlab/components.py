"""Component: what a config group's YAML describes, a ``_target_`` and its arguments.

The target's own signature is the schema: its keyword-only arguments are what a config may set, with their types; what
comes before them (the network, a random generator, sizes) is passed in by whoever builds it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import json
import re
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from nnlab import paths
from nnlab.errors import NnlabError

_LONGEST = 200  # characters of a value in a message


class Component(BaseModel):
    """One node of the config: ``_target_`` plus the arguments of the target, as extras."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    target: str = Field(alias="_target_")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the target."""
        return dict(self.model_extra or {})

    def check(self, where: str) -> None:
        """Check the arguments against the target's signature.

        Args:
            where: the node's place in the config, for messages: ``optimizer``.

        Raises:
            NnlabError: no such target, an argument it doesn't take, lacks, or of the wrong type.
        """
        validated(_arguments_model(self.target, where), self.arguments, where, own_keys=type(self).model_fields)

    def check_shipped(self, where: str, trusted: Collection[str] = ()) -> None:
        """Refuse what ``conf/`` doesn't ship: a saved config or checkpoint is somebody else's data.

        Nothing is imported: that alone would run a module's code. A place takes the targets of its own group only.

        Args:
            where: the node's place in the config: ``optimizer``, ``architecture.activations.1``.
            trusted: further targets, by their exact names.

        Raises:
            NnlabError: the target is not one of ours.
        """
        group = "activation" if where.startswith("architecture.") else where.partition(".")[0]
        if self.target not in trusted and self.target not in shipped_targets(group):
            raise NnlabError(
                f"{where}._target_={_shown(self.target)}: nnlab does not ship such a choice of {group}, so it is "
                "not loaded; take one of `nnlab train --help`, or say --trust TARGET if you know its code"
            )

    def build(self, where: str, *injected: Any, **overriding: Any) -> Any:
        """Call the target with the injected positional arguments and the config's.

        Raises:
            NnlabError: the target refuses (a ValueError), or calling it is a mistake of the config.
        """
        try:
            return locate(self.target, where)(*injected, **(self.arguments | overriding))
        except (ValueError, OverflowError) as error:
            raise NnlabError(f"{where}: {error}") from error
        except TypeError as error:
            raise NnlabError(f"{where}._target_={self.target!r} can't be called as nnlab does: {error}") from error

    def factory(self, where: str) -> functools.partial[Any]:
        """Return ``build`` of this place, for those who make several."""
        return functools.partial(self.build, where)


def locate(target: str, where: str) -> Any:
    """Import what a dotted path names.

    Raises:
        NnlabError: there is no such thing.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NnlabError(f"{where}._target_={target!r}: there is no such function or class ({error})") from error
    if not callable(found):
        raise NnlabError(f"{where}._target_={target!r} is no function or class")
    return found


@functools.cache
def shipped_targets(group: str = "*") -> frozenset[str]:
    """Return the exact targets that ``conf/`` ships: the only ones that a saved config or checkpoint may name.

    Args:
        group: of this config group; by default of all.
    """
    texts = (path.read_text(encoding="utf-8") for path in paths.conf_dir().glob(f"{group}/*.yaml"))
    return frozenset(target for text in texts for target in re.findall(r"^_target_:\s*(\S+)", text, re.MULTILINE))


def validated(
    model: type[BaseModel], values: Mapping[str, Any], where: str = "", own_keys: Iterable[str] = ()
) -> BaseModel:
    """Validate values with a pydantic model.

    Args:
        model: the schema.
        values: what to check.
        where: the place of the values in the whole config.
        own_keys: further keys of that place, for the list of choices.

    Raises:
        NnlabError: one line about the first thing that is wrong.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
    first = errors[0]
    path = _path_in(values, first["loc"])
    key = ".".join([*([where] if where else []), *path])
    if first["type"] == "extra_forbidden":
        known = {**{key: None for key in own_keys if key != "target"}, **_keys_at(model, path[:-1])}
        raise NnlabError(unknown_key(key, known))
    if first["type"] == "missing":
        raise NnlabError(f"{key} is missing: give it a value")
    if first["loc"][-1:] == ("[key]",):
        raise NnlabError(f"{key.rpartition('.')[0]}: the key {_shown(first['input'])} is no text; put it in quotes")
    if first["type"] in ("model_type", "dict_type"):
        raise NnlabError(f"{key}={_shown(first['input'])}: it is a section, not a value; set the keys in it")
    if first["type"] == "value_error":  # a check of our own, on a whole section
        raise NnlabError(f"{key}: {first['ctx']['error']}")
    # A union (integer, or "auto", or null) gives an error for each of its members.
    messages = [error["msg"] for error in errors if _path_in(values, error["loc"]) == path]
    expected = [text.removeprefix("Input should be ") for text in messages if text.startswith("Input")]
    expected = list(dict.fromkeys(text for text in expected if "an instance of" not in text))
    if not expected:
        raise NnlabError(f"{key}={_shown(first['input'])}: {messages[0][0].lower()}{messages[0][1:]}")
    raise NnlabError(f"{key}={_shown(first['input'])}: it should be {' or '.join(expected)}")


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the line about a key that isn't there: what was meant, perhaps, and which there are."""
    parent, _, last = key.rpartition(".")
    known = sorted(known)
    meant = difflib.get_close_matches(last, known, n=1)
    choices = f"choose from {', '.join(known)}" if known else "it has no settings"
    return (
        f"{key}: there is no such key{f' in {parent}' if parent else ''}; "
        f"{f'did you mean {meant[0]}? ' if meant else ''}{choices}"
    )


def _shown(value: Any) -> str:
    """Return a value as one would write it in YAML, its beginning if it is long."""
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _path_in(values: Mapping[str, Any], location: Sequence[str | int]) -> list[str]:
    """Return an error's place as keys of the config, without the names of union members that pydantic appends."""
    path: list[str] = []
    node: Any = values
    for part in location:
        if isinstance(part, int) and isinstance(node, list) and path:
            path[-1] += f"[{part}]"
            node = node[part]
            continue
        if not isinstance(node, Mapping) or (path and part not in node and not _is_key(part)):
            break
        path.append(str(part))
        node = node.get(part)
    return path


def _is_key(part: str | int) -> bool:
    return isinstance(part, str) and part.isidentifier()


def _keys_at(model: type[BaseModel], path: list[str]) -> dict[str, None]:
    for part in path:
        below = _model_in(model.model_fields[part.partition("[")[0]].annotation)
        if below is None:
            return {}
        model = below
    return {field.alias or name: None for name, field in model.model_fields.items() if field.alias != "_target_"}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, perhaps a list of them or null."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)


@functools.cache
def _arguments_model(target: str, where: str) -> type[BaseModel]:
    """Return the schema of a target's keyword-only arguments."""
    try:
        signature = inspect.signature(locate(target, where), eval_str=True)
    except (ValueError, NameError) as error:
        raise NnlabError(f"{where}._target_={target!r}: its arguments can't be told ({error})") from error
    fields: dict[str, Any] = {
        name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    try:
        return pydantic.create_model("Arguments", __config__=config, **fields)
    except pydantic.errors.PydanticUserError as error:
        raise NnlabError(f"{where}._target_={target!r}: its arguments have no types that a config can give") from error
