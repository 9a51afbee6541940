"""The four files of MNIST on disk: their names, where they belong, and whether they are the published ones."""

import hashlib
from pathlib import Path

from nnlab.data.cache import State, data_dir
from nnlab.data.idx import MAX_BYTES, uncompressed
from nnlab.errors import NnlabError

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

# Of the uncompressed files: mirrors compress them differently. A file is trusted for this and nothing else.
SHA256 = {
    TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def mnist_dir() -> Path:
    """The directory the four files belong in; it need not exist."""
    return data_dir() / "mnist"


def verified(name: str, content: bytes) -> bytes:
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
    if found != SHA256[name]:
        raise ValueError(f"SHA-256 is {found[:16]}..., expected {SHA256[name][:16]}...")
    return content


def locate(folder: Path, name: str) -> Path | None:
    """Find one of the four, as it is or as ``.gz`` placed by hand.

    Args:
        folder: `mnist_dir` as a rule.
        name: one of the four.

    Returns:
        The path, or None if there is none, or none that we may see.
    """
    try:
        return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    except OSError:  # a folder we may not enter
        return None


def read(path: Path, name: str) -> bytes:
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
        return verified(name, path.read_bytes())
    except OSError as error:
        raise NnlabError(f"dataset=mnist: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise wrong_file(path, error) from error


def wrong_file(path: Path, reason: ValueError) -> NnlabError:
    """The one line about a file that is there but not right."""
    return NnlabError(
        f"dataset=mnist: {path} is not the published file: {reason}; delete it and run `nnlab data fetch mnist`"
    )


def state(folder: Path, name: str) -> State:
    """Whether one of the four is there and right."""
    path = locate(folder, name)
    if path is None:
        return "missing"
    try:
        read(path, name)
    except NnlabError:
        return "wrong"
    return "ok"
