"""Trained weights equal PyTorch's to 1e-9, for every activation x loss x optimiser setting x schedule.

PyTorch's side is stored in ``trajectories.npz``; ``generate.py`` writes it.
"""

import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from nnlab.data.batches import Batches, Part
from nnlab.nn import Linear, Sequential
from nnlab.optim import SGD, Schedule, per_epoch
from nnlab.training import Plan, train
from tests.trajectories import cases
from tests.trajectories.cases import CASES, EPOCHS, LR, NAMES, OPTIMIZERS, SCHEDULED, SCHEDULES, STEPS_PER_EPOCH

CONF = Path(__file__).parents[2] / "conf"


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def component(group: str, choice: str) -> Callable[..., Any]:
    """What ``conf/`` says that a choice means."""
    target = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text())["_target_"]
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@pytest.fixture(scope="module")
def stored() -> dict[str, NDArray[Any]]:
    with np.load(cases.FILE, allow_pickle=False) as arrays:
        return dict(arrays)


def schedule_of(name: str, per: str) -> Schedule:
    total = EPOCHS * STEPS_PER_EPOCH if per == "update" else EPOCHS
    schedule: Schedule = component("schedule", name)(total, **SCHEDULES[name][per])
    return schedule if per == "update" else per_epoch(schedule, STEPS_PER_EPOCH)


def flat(state: dict[str, NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([state[name].ravel() for name in NAMES])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", choices("loss"))
@pytest.mark.parametrize("activation", choices("activation"))
def test_trained_weights_are_pytorchs(
    activation: str, loss: str, optimizer: str, stored: dict[str, NDArray[Any]]
) -> None:
    """All schedules in one stack, by way of the training loop that everybody uses."""
    replicas = len(SCHEDULED)
    layers = [
        Linear(cases.FEATURES, cases.HIDDEN),
        component("activation", activation)(),
        Linear(cases.HIDDEN, cases.CLASSES),
    ]
    network = Sequential(layers, replicas=replicas, dtype=np.float64)
    initial = {name: stored[f"initial/{name}"] for name in NAMES}
    for replica in range(replicas):
        network.load_state_dict(initial, replica)
    rows = np.tile(np.arange(cases.SAMPLES), (replicas, 1))
    batches = Batches(Part(stored["x"], stored["labels"], cases.CLASSES, rows), cases.BATCH_SIZE, "sequential", [])
    schedules = [schedule_of(*scheduled) for scheduled in SCHEDULED]
    sgd = SGD(network, lr=LR, **OPTIMIZERS[optimizer])
    results = list(train(network, component("loss", loss)(), sgd, schedules, batches, Plan(EPOCHS), {}))
    assert results[-1].step == EPOCHS * STEPS_PER_EPOCH >= 60

    for replica, scheduled in enumerate(SCHEDULED):
        case = (activation, loss, optimizer, *scheduled)
        expected = stored["final"][CASES.index(cases.Case(*case))]
        trained = flat(network.state_dict(replica))
        np.testing.assert_allclose(trained, expected, rtol=0, atol=1e-9, err_msg=str(case))
        moved = np.abs(trained - flat(initial))
        assert moved.max() > 0.1, case
        assert np.median(moved) > 0.01, case
        assert np.abs(trained).max() < 10, case


@pytest.mark.parametrize(
    ("group", "covered"), [("activation", cases.ACTIVATIONS), ("loss", cases.LOSSES), ("schedule", tuple(SCHEDULES))]
)
def test_every_component_of_conf_has_trajectories(group: str, covered: tuple[str, ...]) -> None:
    assert choices(group) == sorted(covered), f"add it to tests/trajectories/cases.py and run generate.py: {group}"


def test_the_whole_product_is_in_the_file(stored: dict[str, NDArray[Any]]) -> None:
    names = [tuple(name.decode() for name in row) for row in stored["cases"]]
    schedules = [(name, per) for name in choices("schedule") for per in ("update", "epoch")]
    product = itertools.product(choices("activation"), choices("loss"), OPTIMIZERS, schedules)
    assert sorted(names) == sorted((a, c, o, *s) for a, c, o, s in product)
    assert names == [tuple(case) for case in CASES]
    assert cases.FILE.stat().st_size < 1_000_000


def test_no_two_cases_have_the_same_trajectory(stored: dict[str, NDArray[Any]]) -> None:
    """Else the file could not tell a setting from another one. A constant schedule is the exception, as it should be:
    it is the same an update and an epoch, and with the learning rate inside or outside the velocity."""
    telling = [n for n, case in enumerate(CASES) if case.schedule != "constant"]
    telling += [n for n, c in enumerate(CASES) if c[3:] == ("constant", "update") and "lr_inside" not in c.optimizer]
    rounded = {tuple(row) for row in np.round(stored["final"][telling], 6)}
    assert len(rounded) == len(telling)
