"""A data file of the user's own: where it is."""

from pathlib import Path

from nnlab.data import stand_ins
from nnlab.errors import NnlabError
from nnlab.machine_memory import check_fits


def user_file(path: str | None, kind: str) -> Path:
    """Find the file that ``dataset.path`` names.

    Args:
        path: absolute, or relative to the current directory; ``~`` is the home directory.
        kind: what it should be, for messages.

    Returns:
        An absolute path.

    Raises:
        NnlabError: none is given, or there is no such file: folders, named pipes and devices are none.
    """
    if not path:
        raise NnlabError(f"dataset.path: give the {kind}, as dataset.path=FILE")
    try:
        file = stand_ins.of(path).expanduser().absolute()
    except RuntimeError as error:  # ~nobody
        raise NnlabError(f"dataset.path: {path} names a home directory that there is not") from error
    try:
        if file.is_file():
            check_fits(file.stat().st_size, f"dataset.path: {file}")
            return file
        is_there = file.exists()
    except (OSError, ValueError) as error:  # a folder we may not enter; a null byte
        raise NnlabError(f"dataset.path: cannot look for {file}: {error}") from error
    raise NnlabError(f"dataset.path: {file} is no file" if is_there else f"dataset.path: there is no file {file}")
