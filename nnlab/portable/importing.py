"""Importing: the verb ``import``, which brings an archive's runs into the outputs root, and from there into MLflow."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nnlab import atomic_file, checkpoint, paths
from nnlab.mirroring import say_where, wait_until_mirrored
from nnlab.one_line import one_line
from nnlab.output import say
from nnlab.portable import placing
from nnlab.portable.archive import Archive
from nnlab.portable.arrival import Arrival, arrivals
from nnlab.portable.display import Display
from nnlab.portable.staging import staging
from nnlab.tracking import cursor, follower, runs, store

_WAIT_SECONDS = 120.0  # for MLflow, since something has come forward; what a run is given to be mirrored in
_SHOWN = 20  # lines


def bring_in(file: Path) -> int:
    """Import an archive: check it all, then bring together what it has and what is here, and mirror it into MLflow.

    Args:
        file: that ``nnlab export`` has made.

    Returns:
        the exit code.

    Raises:
        NnlabError: it is none, is damaged, or has runs that have gone another way here; nothing is changed then.
        OSError: the file system refuses.
        KeyboardInterrupt: on Ctrl-C or SIGTERM; as whatever else breaks it off, to be completed by a second call.
    """
    outputs = paths.outputs_dir()
    file = file.expanduser().absolute()
    with Display("checking", file.stat().st_size if file.is_file() else 0) as display:
        archive = Archive(file, display.advance)
    with archive:
        say_where()
        sizes = sum(known.size for known in archive.manifest.files().values())
        try:
            with staging(outputs) as work:
                with Display("importing", sizes) as display:
                    arrived = arrivals(archive, outputs, work, display.advance)
                place(arrived, outputs, work)
        except KeyboardInterrupt:
            say("interrupted: what is in the outputs root is in order, and the same command completes it")
            raise
    tracked = [each.target for each in arrived if each.header.get("tracking")]
    _tell(arrived)
    key = store.key(store.uri(outputs))
    left = [directory for directory in tracked if not cursor.is_mirrored(directory, key)]
    if left:
        follower.ensure(outputs, left)
        wait_until_mirrored(True, left, _WAIT_SECONDS, since="the import")
    return 0


def place(arrived: Sequence[Arrival], outputs: Path, work: Path, *, is_synced: bool = True) -> None:
    """Bring what is staged to its places; nothing of it is looked at any more.

    Args:
        arrived: the records.
        outputs: the outputs root.
        work: the folder that they are staged in.
        is_synced: wait until all is on the disk.

    Raises:
        OSError: the file system refuses.
    """
    sync: placing.Sync = atomic_file.sync_directory if is_synced else lambda _: None
    if is_synced and any(each.wanted for each in arrived):
        placing.sync_all()
    _forget_cursors(arrived)
    if (work / "tree").is_dir():
        placing.put(work / "tree", outputs, sync)
    for each in arrived:
        if each.staged.is_dir() and not each.staged.is_relative_to(work / "tree"):
            placing.put(each.staged, each.target, sync)
        if each.state != "further here":
            _remove_pruned(each)
        if each.state == "new":
            runs.note(outputs, each.target)


def _forget_cursors(arrived: Sequence[Arrival]) -> None:
    """Let runs that came before their sweep be mirrored once more: in MLflow they don't belong to it yet."""
    sweeps = {each.target for each in arrived if each.state == "new" and each.entry.kind == "sweep"}
    for each in arrived:
        if not sweeps.isdisjoint(each.target.parents):
            for path in each.target.glob(".mlflow-*.json"):
                path.unlink()


def _remove_pruned(each: Arrival) -> None:
    """Remove checkpoints that the archive has no more and that the journal says are removed."""
    kept = {name.split("/")[1] for name in each.entry.files if name.startswith("checkpoints/")}
    epochs = checkpoint.epochs(each.target / "checkpoints")
    if any(checkpoint.name(epoch) not in kept for epoch in epochs):
        placing.remove_pruned(each.target)


def _tell(arrived: Sequence[Arrival]) -> None:
    """Say what has become of each sweep and lone run."""
    groups: dict[Path, list[Arrival]] = {}
    for each in arrived:  # a sweep before its runs
        top = next((folder for folder in each.target.parents if folder in groups), each.target)
        groups.setdefault(top, []).append(each)
    for number, (top, inside) in enumerate(groups.items()):
        if number == _SHOWN:
            say(f"and {len(groups) - _SHOWN:,} more")
            break
        beside = f", {_kinds(inside)}" if len(inside) > 1 else ""
        say(f"{inside[0].entry.kind:8} {one_line(str(top))}{beside}: {_states(inside)}")
    if any(each.wanted for each in arrived):
        say(f"imported {_kinds(arrived)}: {_states(arrived)}")
    else:
        say(f"nothing to do: {_kinds(arrived)} {_states(arrived)}")
    stopped = [top for top, inside in groups.items() if inside[0].entry.status == "KILLED" and inside[0].wanted]
    for top in stopped[:_SHOWN]:
        say(f"interrupted; go on with: nnlab resume {shlex.quote(one_line(str(top)))}")


def _states(arrived: Sequence[Arrival]) -> str:
    counts = Counter(each.state for each in arrived)
    shown = [f"{count:,} {state}" for state, count in counts.items()]
    return ", ".join(shown) if len(shown) > 1 else arrived[0].state


def _kinds(arrived: Sequence[Arrival]) -> str:
    counts = Counter(each.entry.kind for each in arrived)
    return " and ".join(f"{count:,} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(counts.items()))
