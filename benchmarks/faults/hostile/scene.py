"""Scene: a run, made well, of which somebody has made something else before it comes to us."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SECRET = f"secret-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Scene:
    """Where a hostile file is put.

    Attributes:
        folder: of everything.
        good: a run that was made well and is left alone.
    """

    folder: Path
    good: Path

    @property
    def run(self) -> Path:
        """The run that is tampered with, in the outputs root."""
        return self.folder / "outputs" / "runs" / "2026-01-01_00-00-00-evil00"

    @property
    def canary(self) -> Path:
        """What every payload tries to make."""
        return self.folder / "canary"

    @property
    def secret(self) -> Path:
        """A file of the user's that is to stay on this machine, and as it is."""
        return self.folder / "private" / "secret.txt"

    @property
    def data(self) -> Path:
        """A data file that somebody else gave."""
        return self.folder / "work" / "data"

    @property
    def config(self) -> Path:
        """The run's saved config."""
        return self.run / "config.yaml"

    @property
    def journal(self) -> Path:
        """The run's journal."""
        return self.run / "journal.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The run's last checkpoint."""
        return max((self.run / "checkpoints").glob("epoch-*"))

    def set(self) -> None:
        """Make it anew: the run as it was, the secret, no canary."""
        for path in (self.run.parent, self.secret.parent, self.canary):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.good, self.run)
        self.set_config(tracking__enabled=False)  # of what is trained for it; no trackers are to come and go
        self.secret.parent.mkdir()
        self.secret.write_text(f"{SECRET}\n")
        for path in self.data.parent.iterdir():
            remove(path)

    def interrupt(self) -> None:
        """Let the run have been killed in its second epoch, so that it can be resumed."""
        lines = self.journal.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["type"] in ("run", "params", "metrics", "artifact")]
        last = next(n for n, line in enumerate(kept) if json.loads(line).get("step") == 2)
        self.journal.write_bytes(b"".join(kept[:last]))
        for path in (self.run / "checkpoints").glob("epoch-*"):
            if int(path.name[6:]) >= 2:
                shutil.rmtree(path)

    def set_config(self, **values: Any) -> None:
        """Change keys of the saved config; two underscores stand for a dot, and None removes."""
        node = yaml.safe_load(self.config.read_text())
        for key, value in values.items():
            inside = node
            *sections, last = key.split("__")
            for section in sections:
                inside = inside[section]
            inside[last] = value
        self.config.write_text(yaml.safe_dump(node))

    def set_manifest(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the manifest of the last checkpoint, with a hash that is right."""
        node = json.loads((self.checkpoint / "manifest.json").read_text())
        change(node)
        self.write_manifest(json.dumps(node).encode())

    def write_manifest(self, text: bytes) -> None:
        """Write a manifest with a hash that is right, there and in the journal."""
        digest = hashlib.sha256(text).hexdigest()
        before = hashlib.sha256((self.checkpoint / "manifest.json").read_bytes()).hexdigest()
        (self.checkpoint / "manifest.json").write_bytes(text)
        (self.checkpoint / "manifest.sha256").write_text(digest)
        self.journal.write_bytes(self.journal.read_bytes().replace(before.encode(), digest.encode()))

    def set_array(self, content: bytes, name: str = "0.bias.npy") -> None:
        """Replace an array of the last checkpoint, with a hash that is right."""
        (self.checkpoint / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        self.set_manifest(lambda node: node["files"][name].update(sha256=digest))

    def add_event(self, **event: Any) -> None:
        """Add a line in front of the journal's last one, which is its status if it has ended."""
        self.add_line(json.dumps({"timestamp": 1_700_000_000_000, **event}).encode())

    def add_line(self, line: bytes) -> None:
        """Add a line in front of the journal's last one."""
        *lines, last = self.journal.read_bytes().splitlines(keepends=True)
        self.journal.write_bytes(b"".join([*lines, line + b"\n", last]))

    def set_header(self, **fields: Any) -> None:
        """Change fields of the journal's first line."""
        first, _, rest = self.journal.read_bytes().partition(b"\n")
        node = json.loads(first)
        node.update(fields)
        self.journal.write_bytes(json.dumps(node).encode() + b"\n" + rest)


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def sparse(path: Path, size: int, head: bytes = b"") -> None:
    """Make a file that is as large as one likes and takes no room."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def pipe(path: Path) -> None:
    """Put a named pipe in a file's place, that opening waits at for ever."""
    remove(path)
    os.mkfifo(path)


def terabyte(path: Path) -> None:
    """Put a terabyte of nothing in a file's place."""
    remove(path)
    sparse(path, 2**40)


def endless(path: Path) -> None:
    """Put what never ends in a file's place."""
    link(path, "/dev/zero")


def folder(path: Path) -> None:
    """Put a folder in a file's place."""
    remove(path)
    path.mkdir()


def link(path: Path, target: str | Path) -> None:
    """Put a symbolic link in a file's place."""
    remove(path)
    path.symlink_to(target)
