"""Checkout: which git commit the sources are of, and what has been changed since."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from nnlab import paths

LARGEST_DIFF = 10_000_000
"""Bytes; a diff that is larger is not kept."""

_SECRETIVE = (".env", ".env.*", "*.pem", "*.key", "*.p12", "id_rsa*", "id_ed25519*", ".netrc", ".pypirc")
"""Names of files that are known for holding secrets: no sources. Others see the diff, so it is without them."""

# A git hook sets these, for a repository of its own; the last one would take our patterns for names.
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_LITERAL_PATHSPECS")
_PLAIN = (  # whatever the user's settings say
    *("--binary", "--unified=3", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative"),
    *("--submodule=short", "--src-prefix=a/", "--dst-prefix=b/"),
)


class Checkout(NamedTuple):
    """The state of a git working tree.

    Attributes:
        commit: that is checked out.
        dirty: whether a tracked file differs from it, or there is a Python module that git neither tracks nor
            ignores; None where git can't say. Other untracked files don't count, and are not kept: data, notes, a
            config (the run's own config.yaml has what it said) or passwords. Nor do tracked files count that by their
            names hold passwords or keys.
        diff: what ``git apply`` needs to make the sources out of the commit; empty if they are the commit's.
        note: why there is no diff, where there should be one.
    """

    commit: str
    dirty: bool | None
    diff: bytes = b""
    note: str | None = None


@functools.cache
def current() -> Checkout | None:
    """Return the state of nnlab's checkout, else of the repository that the current directory is in.

    It is looked at once a process: a sweep of small runs can't spend 10 ms a run on git. Outside a repository, before
    its first commit or without git there is none.
    """
    checkout = paths.conf_dir().parent
    return look(checkout if (checkout / ".git").exists() else Path.cwd(), paths.outputs_dir())


def look(directory: Path, outputs: Path) -> Checkout | None:
    """Return the state of the repository that a directory is in; None if it is in none.

    Args:
        directory: anywhere in the working tree.
        outputs: the outputs root, where nothing is a source.
    """
    found = _git(directory, "rev-parse", "--show-toplevel", "--git-path", "index", "--git-path", "objects", "HEAD")
    if found is None:
        return None
    top, index, objects, commit = os.fsdecode(found).rstrip("\n").split("\n")
    root = Path(top)
    status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    if status is None:
        return Checkout(commit, None, note="git could not say what has been changed")
    entries = [entry for entry in status.split(b"\0") if entry]
    untracked = [path for path in entries if path.startswith(b"?? ") and _is_source(root, path[3:], outputs)]
    if not untracked and all(entry.startswith(b"?? ") for entry in entries):
        return Checkout(commit, dirty=False)
    diff = _diff(root, directory / index, directory / objects, [entry[3:] for entry in untracked])
    if diff is None:
        return Checkout(commit, dirty=True, note="git could not make a diff of the uncommitted changes")
    if len(diff) > LARGEST_DIFF:
        size = f"{len(diff) / 1e6:.1f} MB, more than the {LARGEST_DIFF / 1e6:g} MB that a run keeps"
        return Checkout(commit, dirty=True, note=f"the diff of the uncommitted changes has {size}")
    return Checkout(commit, bool(diff), diff)  # what is staged only, and taken back in the tree, is no difference


def _is_source(root: Path, path: bytes, outputs: Path) -> bool:
    file = root / os.fsdecode(path)
    return file.suffix == ".py" and not file.is_relative_to(outputs)


def _diff(root: Path, index: Path, objects: Path, untracked: list[bytes]) -> bytes | None:
    """Return the difference to HEAD with the untracked files as new ones; the repository is left as it is.

    In a copy of the index the untracked files are noted as to be added, and what git stores for that goes elsewhere.
    """
    with tempfile.TemporaryDirectory() as temporary:
        environment = {"GIT_INDEX_FILE": f"{temporary}/index"}
        if index.exists():
            shutil.copyfile(index, environment["GIT_INDEX_FILE"])
        if untracked:
            environment |= {"GIT_OBJECT_DIRECTORY": temporary, "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects)}
            add = ("--literal-pathspecs", "add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            if _git(root, *add, given=b"\0".join(untracked), environment=environment) is None:
                return None
        kept_out = [f":(exclude,glob,icase)**/{name}" for name in _SECRETIVE]
        return _git(root, "diff", *_PLAIN, "HEAD", "--", ":/", *kept_out, environment=environment)


def _git(
    directory: Path, *arguments: str, given: bytes = b"", environment: dict[str, str] | None = None
) -> bytes | None:
    """Return what git prints; None if there is no git, it refuses or takes more than 10 seconds."""
    inherited = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(directory), *arguments],
            input=given,
            capture_output=True,
            timeout=10,
            check=False,
            env={**inherited, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
