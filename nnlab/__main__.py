"""``python -m nnlab`` is the command ``nnlab``."""

from nnlab.cli import main

main()
