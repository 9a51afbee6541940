"""Effort: how much of everything a run of the benchmark of sweeps measures."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Sizes and repetitions.

    Attributes:
        wine_runs: of the sweep of wine.
        wine_epochs: of each.
        wine_rounds: how often that sweep is measured.
        peer_runs: that are measured of the peers' sweep.
        peer_epochs: that are measured of each of them.
        peer_python: the interpreter that has the peers.
        mnist_runs: of the sweep of MNIST, and as many lone ones.
        mnist_epochs: of each.
        mnist_rounds: how often both are measured.
        moons: pairs of the size of a sweep of moons and how often it is measured.
        moons_epochs: of each run.
        kills: sweeps that are killed.
        kill_epochs: of their runs, two numbers.
        seed: of the moments at which they are killed; None for one that nobody has chosen.
    """

    wine_runs: int = 64
    wine_epochs: int = 4500
    wine_rounds: int = 3
    peer_runs: int = 3
    peer_epochs: int = 300
    peer_python: str = sys.executable
    mnist_runs: int = 16
    mnist_epochs: int = 3
    mnist_rounds: int = 3
    moons: tuple[tuple[int, int], ...] = ((100, 3), (1000, 1))
    moons_epochs: int = 200
    kills: int = 20
    kill_epochs: tuple[int, int] = (300, 400)
    seed: int | None = None


FULL = Effort()
QUICK = Effort(
    wine_runs=4,
    wine_epochs=450,
    wine_rounds=1,
    peer_runs=2,
    peer_epochs=30,
    mnist_runs=2,
    mnist_epochs=1,
    mnist_rounds=1,
    moons=((4, 1), (16, 1)),
    moons_epochs=20,
    kills=2,
    kill_epochs=(60, 80),
)
