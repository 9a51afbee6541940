"""Checkpoint stage: a folder in which checkpoints are written again and again by processes that are killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from benchmarks.faults.checkpoints.checkpoint_scenes import BEST, EPOCHS, FILE, OLD, SCENES
from benchmarks.faults.checkpoints.checkpoint_writer import Writer
from benchmarks.faults.warm import Warm
from nnlab import checkpoint, journal

_TRAIN = (
    *("dataset=moons", "architecture.hidden_sizes=[8]", "optimizer.momentum=0.9", "optimizer.lr=0.08"),
    *(f"training.epochs={EPOCHS[-1]}", "checkpoint.every=1", "checkpoint.keep=all", "tracking=none"),
)
_SECONDS = 60.0


class Stage:
    """A run with all its checkpoints, and writers that write them again in folders of their own; a context manager.

    Args:
        jobs: writers.

    Attributes:
        folder: of all.
        run: directory of the run.
    """

    def __init__(self, jobs: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nnlab-killed-checkpoint-")).resolve()
        self.run = self.folder / "run"
        self._lock = threading.Lock()
        self._writers = SimpleQueue[Writer]()
        self._warm = Warm(self.folder / "warm")
        problem = self.command("train", *_TRAIN, f"hydra.run.dir={self.run}")
        if problem:
            raise RuntimeError(problem)
        losses = [values["val/loss"] for values in journal.read(self.run).steps.values()]
        lowest = tuple(min(range(end), key=losses.__getitem__) for end in (BEST[1], BEST[1] + 1))
        if lowest != BEST:
            raise RuntimeError(f"its best epochs are {lowest}, and not {BEST}, as the scenes take for granted")
        for name, scene in SCENES.items():
            self._make_before(name, scene.before)
        for _ in range(jobs):
            self._writers.put(Writer(self.run).__enter__())

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        while not self._writers.empty():
            self._writers.get().__exit__(None, None, None)
        self._warm.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def before(self, scene: str) -> Path:
        """Return what a scene begins with."""
        return self.folder / f"before {scene}"

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Give a writer that nobody else uses."""
        writer = self._writers.get()
        try:
            yield writer
        finally:
            self._writers.put(writer)

    @contextmanager
    def directory(self, scene: str) -> Iterator[Path]:
        """Give a copy of what a scene begins with."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            directory = Path(folder) / "run"
            shutil.copytree(self.before(scene), directory)
            yield directory

    def command(self, *arguments: str) -> str | None:
        """Give a command of nnlab, and return what went wrong, or None."""
        with self._lock:
            ended = self._warm.run(arguments, seconds=_SECONDS)
        if ended.code == 0:
            return None
        return f"nnlab {arguments[0]} ended with {ended.code}: {(ended.err or ended.out)[-200:]}"

    def train(self, directory: Path, log: Path, *options: str) -> int:
        """Train the run anew under strace, and return how it ended."""
        command = ["strace", "-f", "-y", "-s", "300", "-o", str(log), *options, sys.executable, "-m", "nnlab", "train"]
        own = {"NNLAB_OUTPUTS": str(directory.parents[1]), "NNLAB_DATA_DIR": str(self.folder / "warm" / "data")}
        return subprocess.run(
            [*command, *_TRAIN, f"hydra.run.dir={directory}"],
            env={**os.environ, **own, "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    def _make_before(self, name: str, epochs: Iterable[int]) -> None:
        """Make what a run is that was killed when it was trained and has the checkpoints of some epochs."""
        directory, scene = self.before(name), SCENES[name]
        directory.mkdir()
        shutil.copy(self.run / "config.yaml", directory)
        wanted = {checkpoint.name(epoch) for epoch in epochs}
        for each in wanted:
            shutil.copytree(self.run / "checkpoints" / each, directory / "checkpoints" / each)
        with (self.run / journal.NAME).open() as source, (directory / journal.NAME).open("w") as target:
            for line in source:
                is_of_training = '"artifact"' not in line and "final/" not in line and '"status"' not in line
                if is_of_training or "config.yaml" in line or any(f"/{each}" in line for each in wanted):
                    target.write(line)
        root = directory / "checkpoints"
        if scene.damaged:
            file = root / checkpoint.name(scene.damaged) / "0.weight.npy"
            data = file.read_bytes()
            file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        if scene.leftover:
            source_folder = self.run / "checkpoints" / checkpoint.name(scene.leftover)
            shutil.copytree(
                source_folder, root / f".{source_folder.name}.tmp", ignore=lambda *_: ["manifest.sha256", "2.bias.npy"]
            )
        if scene.has_file:
            (directory / FILE).write_bytes(OLD)


def checkpoint_paths(directory: Path) -> list[Path]:
    """Return all paths at which the run, in a directory, has to do with its checkpoints."""
    root = directory / "checkpoints"
    folders = [root / checkpoint.name(epoch) for epoch in EPOCHS]
    folders += [each.with_name(f".{each.name}.tmp") for each in folders]
    return [directory, root, *folders, *(folder / file for folder in folders for file in _files())]


def _files() -> Sequence[str]:
    parameters = [f"{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]
    arrays = [f"{before}{name}.npy" for name in parameters for before in ("", "optimizer.velocity.")]
    return [*arrays, "manifest.json", "manifest.sha256"]
