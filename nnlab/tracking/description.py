"""Description: what MLflow's pages show above a run's numbers, where a person may write as well."""

from __future__ import annotations

from collections.abc import Mapping

from nnlab.tracking.limits import MAX_TAG

NAME = "mlflow.note.content"  # which MLflow shows as Markdown
_FINDING, _TABLE = "nnlab.finding", "nnlab.table"


def described(tags: Mapping[str, str]) -> str:
    """Return what is said of a sweep with these tags: its finding, then its table, as many lines as a tag holds."""
    text = f"{tags[_FINDING]}\n\n{tags[_TABLE]}"
    return text if len(text) <= MAX_TAG else text[: text.rindex("\n", 0, MAX_TAG)]


def unsent(tags: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a store has otherwise or not at all, but for a description that a person has written there.

    Args:
        tags: of a run, as they should be.
        stored: of the same run in the store.
    """
    is_theirs = NAME in stored and (_TABLE not in stored or stored[NAME] != described(stored))
    return {name: text for name, text in tags.items() if stored.get(name) != text and not (name == NAME and is_theirs)}
