"""Where things are: the configs that nnlab ships, and the outputs root."""

from __future__ import annotations

import os
from pathlib import Path

from nnlab.errors import NnlabError

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """Return the folder of the Hydra configs: a checkout's own ``conf/``, else the copy inside the wheel."""
    return _shipped("conf")


def experiments_dir() -> Path:
    """Return the folder of the experiments, likewise."""
    return _shipped("experiments")


def outputs_dir() -> Path:
    """Return the absolute outputs root: ``$NNLAB_OUTPUTS``, else ``outputs`` in the current directory.

    Raises:
        NnlabError: there is a file of that name, or a store's URI can't name it.
    """
    given = os.environ.get("NNLAB_OUTPUTS") or "outputs"
    try:
        outputs = Path(given).expanduser().resolve()
        str(outputs).encode()
    except UnicodeEncodeError as error:
        raise NnlabError(f"{outputs}: a path that is no UTF-8 text can't be kept; set NNLAB_OUTPUTS to one") from error
    except RuntimeError as error:  # ~somebody who has no home
        raise NnlabError(f"NNLAB_OUTPUTS={given}: {str(error).rstrip('.')}") from error
    if outputs.exists() and not outputs.is_dir():
        raise NnlabError(f"{outputs} is a file: move it away, or set NNLAB_OUTPUTS to a folder")
    return outputs


def _shipped(name: str) -> Path:
    checkout = _PACKAGE.parent
    return checkout / name if (checkout / "pyproject.toml").is_file() else _PACKAGE / name
