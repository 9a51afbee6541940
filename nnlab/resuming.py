"""Resuming: what an interrupted run has left in its directory, and where it can be gone on from."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nnlab import checkpoint, journal, journal_lines, locks
from nnlab.errors import NnlabError
from nnlab.journal import Journal, Record
from nnlab.snapshot import Snapshot

_FOLDER = "checkpoints"
_MEANING = {"nnlab.config_hash": "configuration (or the number of BLAS threads)", "nnlab.code_version": "engine's code"}
_ADDRESS = "nnlab.address"


def start(directory: Path) -> Path | None:
    """Return the newest checkpoint that a run can be gone on from; None if there is none, or no run.

    It is whole, and so are the ones that it ``needs``: of the best epoch so far, and of the one that early stopping
    would go back to. The journal has all epochs up to it. And none before it is damaged, so that on the way from there
    all are made again that are.
    """
    return next(_usable(directory), None)


def start_epoch(directory: Path) -> int:
    """Return the epoch that a run would be gone on from; 0 too where there is no run yet."""
    found = start(directory)
    return _epoch(found) if found else 0


def starts(directories: Sequence[Path], keys: Sequence[str]) -> list[Path | None]:
    """Return the checkpoints that some runs are to be gone on from.

    Each has a newest one, but only runs that begin after the same epoch can share a stack. So those with equal keys
    begin together after the last epoch that all of them have a checkpoint of, unless more would be trained again than
    is left to be trained: after Ctrl-C each has the checkpoint of a best epoch of its own.

    Args:
        directories: of the runs.
        keys: equal for runs that could share a stack.
    """
    usable = [{_epoch(folder): folder for folder in _usable(directory)} for directory in directories]
    newest = [max(found, default=0) for found in usable]
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        if newest[place]:
            groups.setdefault(key, []).append(place)
    chosen = list(newest)
    for group in groups.values():
        together = max(set.intersection(*(set(usable[place]) for place in group)), default=None)
        if together is None:
            continue
        again = sum(newest[place] - together for place in group)
        left = sum(_planned_epochs(directories[place]) - newest[place] for place in group)
        if again <= left:
            for place in group:
                chosen[place] = together
    return [found.get(epoch) for found, epoch in zip(usable, chosen, strict=True)]


def together(directories: Sequence[Path]) -> list[Path | None]:
    """Return the checkpoints of the last epoch that all of some runs have one of: they are gone on with as a stack."""
    usable = [{_epoch(folder): folder for folder in _usable(directory)} for directory in directories]
    epoch = max(set.intersection(*map(set, usable)), default=None) if usable else None
    return [None if epoch is None else found[epoch] for found in usable]


def _usable(directory: Path) -> Iterator[Path]:
    """Yield the checkpoints that a run can be gone on from, the newest first."""
    root = directory / _FOLDER
    epochs = checkpoint.epochs(root)
    if not epochs or not (directory / journal.NAME).is_file():
        return
    known = journal.replay(directory)
    journalled = max(known.steps, default=-1)
    damaged = {epoch for epoch in epochs if checkpoint.problems(root / checkpoint.name(epoch))}
    lost = min((epoch for epoch in damaged if _artifact(epoch) in known.artifacts), default=journalled + 1)
    for epoch in reversed(epochs):
        if epoch in damaged or epoch >= min(lost, journalled + 1):
            continue
        folder = root / checkpoint.name(epoch)
        needs = checkpoint.read_manifest(folder).get("needs", [])
        if set(needs) <= {*epochs} - damaged:
            yield folder


def damage(directory: Path) -> list[str]:
    """Return what is damaged of a run that is to be gone on with, a line each.

    An older checkpoint that is gone is not: a run removes those that are no longer wanted.
    """
    path, root = directory / journal.NAME, directory / _FOLDER
    if not path.is_file():
        return []
    found = [torn] if (torn := journal_lines.torn(path)) else []
    found += filter(None, (checkpoint.problems(root / checkpoint.name(epoch)) for epoch in checkpoint.epochs(root)))
    begun = start_epoch(directory)
    for artifact in journal.replay(directory).artifacts:
        name = artifact.removeprefix(f"{_FOLDER}/epoch-")
        if name.isdecimal() and int(name) >= begun and not (directory / artifact).exists():
            found.append(f"{directory / artifact} is missing")
    return found


def _epoch(folder: Path) -> int:
    return int(checkpoint.read_manifest(folder)["epoch"])


def _planned_epochs(directory: Path) -> int:
    """Return how long a run was to be, as its journal begins; 0 where that is lost."""
    header = next((event for event, _ in journal.read_events(directory / journal.NAME)), {})
    return int(header.get("epochs", 0))


def check(known: Record, tags: Mapping[str, str], data_hash: str) -> None:
    """Refuse to go on with a run whose numbers would be others by now.

    Args:
        known: of the run; one that has not begun yet is never refused.
        tags: that it would begin with today.
        data_hash: of its data today.

    Raises:
        NnlabError: its configuration, code or data are not what they were.
    """
    if not has_begun(known):
        return
    before = known.run.get("tags", {})
    changed = [meaning for name, meaning in _MEANING.items() if before.get(name) != tags[name]]
    if known.run["dataset"]["hash"] != data_hash:
        changed.append("data")
    if not changed and before.get(_ADDRESS) != tags[_ADDRESS]:
        changed.append("own components' code, or initial weights,")
    if changed:
        raise NnlabError(
            f"{known.directory} can't be gone on with: its {' and '.join(changed)} changed since it began; "
            "train it anew instead"
        )


def has_begun(known: Record) -> bool:
    """Say whether a run was ever built; one that could not be has no more than its name on record."""
    return "dataset" in known.run


def tidy(log: Journal, known: Record, begun: int, say: Callable[[str], None]) -> set[int]:
    """Bring a run's checkpoints and what its journal says of them together again; return the epochs of the whole ones.

    A killed process may have left a temporary folder, or a checkpoint that was written or removed and not journalled.
    Damaged ones are put aside, not deleted: somebody may have put something of their own into one.

    Args:
        log: of the run.
        known: what it says.
        begun: epoch that the run is gone on from. A later checkpoint that is not journalled is made again.
        say: is told what is not as it should be.
    """
    root = known.directory / _FOLDER
    for leftover in root.glob(".epoch-*.tmp"):
        checkpoint.delete(leftover)
    whole = set()
    for epoch in checkpoint.epochs(root):
        folder = root / checkpoint.name(epoch)
        if problem := checkpoint.problems(folder):
            say(f"{problem}; {folder.name} is put aside as {_put_aside(folder)}")
        elif _artifact(epoch) in known.artifacts or epoch <= begun:
            whole.add(epoch)
            if _artifact(epoch) not in known.artifacts:
                log.write("artifact", path=_artifact(epoch), sha256=checkpoint.seal(folder))
        else:
            checkpoint.remove(folder)
    for path in known.artifacts:
        if path.startswith(f"{_FOLDER}/") and not (known.directory / path).exists():
            log.write("pruned", path=path)
            say(f"{known.directory / path} is gone")
    return whole


def _put_aside(folder: Path) -> Path:
    """Move a checkpoint to where nothing looks for one, and return the place."""
    place = folder.parents[1] / journal.DAMAGED / folder.name
    place.parent.mkdir(exist_ok=True)
    for number in itertools.count(2):
        if not os.path.lexists(place):
            return folder.rename(place)
        place = place.with_name(f"{folder.name}.{number}")
    raise AssertionError


def _artifact(epoch: int) -> str:
    return f"{_FOLDER}/{checkpoint.name(epoch)}"


def load(folder: Path) -> Snapshot:
    """Read a checkpoint as the snapshot that it was made of.

    Raises:
        NnlabError: it is damaged.
    """
    arrays, manifest = checkpoint.read(folder)
    del manifest["files"]
    return Snapshot(arrays, manifest)


def check_unused(directory: Path) -> None:
    """Refuse a directory that holds a run.

    Raises:
        NnlabError: it does, or somebody is just beginning one there.
    """
    path = directory / journal.NAME
    if locks.is_locked(path):
        raise locks.taken(path)
    if path.exists() and path.stat().st_size:  # whatever it is, and if it is damaged, it is not ours to write over
        raise NnlabError(f"{directory} holds a run already; a run needs a directory of its own")


def is_unfinished(directory: Path) -> bool:
    """Say whether a directory holds a run that has not come to its end, be it that of its pruning, or nothing yet.

    Raises:
        NnlabError: it is being trained, or its journal is damaged.
    """
    if not (directory / journal.NAME).is_file():
        return True
    record = journal.read(directory)
    if record.status == "RUNNING":
        raise NnlabError(f"{directory} is being trained by another process: wait until it has ended, or end it")
    return record.status != "FINISHED" and not record.is_pruned
