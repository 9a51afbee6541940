"""Trained weights and running statistics equal PyTorch's to 1e-9, for every component and every pair that interacts.

PyTorch's side is stored in ``trajectories.npz``; ``generate.py`` writes it, ``cases.py`` says what is in it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trajectories import cases
from tests.trajectories.cases import CASES, UPDATES, Case
from tests.trajectories.networks import NETWORKS
from tests.trajectories.replay import STACKS, flat, trained


@pytest.fixture(scope="module")
def stored() -> dict[str, NDArray[Any]]:
    with np.load(cases.FILE, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def finals(stored: dict[str, NDArray[Any]]) -> dict[Case, NDArray[Any]]:
    """PyTorch's parameters and running statistics after training, of each case."""
    rows = {name: iter(stored[f"final/{name}"]) for name in NETWORKS}
    return {case: next(rows[case.network]) for case in CASES}


def of_stack(case: Case) -> str:
    """What is not everybody's default, for the name of a test."""
    return "-".join(name for name, default in zip(case, Case(), strict=True) if name != default) or "defaults"


@pytest.mark.parametrize("stack", STACKS, ids=of_stack)
def test_trained_weights_are_pytorchs(
    stack: Case, stored: dict[str, NDArray[Any]], finals: dict[Case, NDArray[Any]]
) -> None:
    network, last = trained(STACKS[stack], stored)
    assert last.step == UPDATES >= 50
    for replica, case in enumerate(STACKS[stack]):
        result = flat(network.state_dict(replica))
        np.testing.assert_allclose(result, finals[case], rtol=0, atol=1e-9, err_msg=str(case))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_trajectory_moves_and_stays_moderate(
    network: str, stored: dict[str, NDArray[Any]], finals: dict[Case, NDArray[Any]]
) -> None:
    """Else 1e-9 would say little."""
    for case in (each for each in CASES if each.network == network):
        moved = np.abs(finals[case] - stored[f"initial/{network}"])
        assert moved.max() > 0.1, case
        assert np.median(moved) > 0.005, case
        assert np.abs(finals[case]).max() < 10, case


def test_the_file_holds_the_cases(stored: dict[str, NDArray[Any]]) -> None:
    assert [tuple(name.decode() for name in row) for row in stored["cases"]] == [tuple(case) for case in CASES]
    assert cases.FILE.stat().st_size < 1_000_000


def test_no_two_cases_have_the_same_trajectory(finals: dict[Case, NDArray[Any]]) -> None:
    """Else the file could not tell a setting from another one."""
    by_result = defaultdict(list)
    for case, final in finals.items():
        by_result[tuple(np.round(final, 6))].append(case)
    assert not [several for several in by_result.values() if len(several) > 1]
