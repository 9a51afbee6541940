"""nnlab: an experiment-tracking research harness for neural networks in plain NumPy.

In a notebook: ``nnlab.run``, ``nnlab.resume``, ``nnlab.history``, ``nnlab.compare``, ``nnlab.load``,
``nnlab.evaluate``. They are imported when first used, so that ``import nnlab.training`` or ``nnlab --help`` don't pay
for them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlab.api import Network, compare, evaluate, history, load, resume, run

# Without a handler Python would print what is meant for train.log.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["Network", "compare", "evaluate", "history", "load", "resume", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nnlab' has no attribute {name!r}")
    from nnlab import api

    return getattr(api, name)
