"""No component without a parity test, nor without central differences where a gradient passes through it.

What is covered is read from the parametrisations of the tests themselves. A group, component, layer, loss or optimiser
that is new fails here until those tests go through it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import nnlab.nn
import nnlab.optim
from nnlab import paths
from nnlab.nn import Conv2d, Loss, Module
from nnlab.optim import Optimizer
from tests.nn import test_gradients
from tests.nn.layer_cases import LAYERS
from tests.parity import test_initializer_parity
from tests.trajectories import test_trajectories
from tests.trajectories.cases import ACTIVATIONS, AUGMENTATIONS, CLIPPING, LOSSES, OPTIMIZERS, SCHEDULES, Case
from tests.trajectories.conf import choices, component
from tests.trajectories.networks import NETWORKS
from tests.trajectories.replay import STACKS, layers_of

DATA_TESTS = Path(__file__).parents[1] / "data"

NO_COMPONENTS = {"hydra": "Hydra's own settings", "tracking": "does not touch the numbers"}
"""Directories of ``conf/`` that are no matter of parity, and why."""

NO_GRADIENT = {
    "augmentation": "changes the inputs, before the network",
    "dataset": "gives the inputs",
    "initializer": "gives the first weights",
    "optimizer": "takes the gradient",
    "schedule": "is a function of time",
}
"""Groups that no gradient passes through, and why."""

OUTSIDE_PYTORCH = {("activation", "relu", "derivative_at_zero"): "PyTorch has 0 only: by hand in test_activations"}
"""Arguments without a parity test, and why."""


def parametrized(test: Callable[..., Any], argument: str) -> list[Any]:
    """The values that a test runs over."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    (values,) = [list(mark.args[1]) for mark in marks if mark.args[0] == argument]
    return values


def trained() -> list[Case]:
    """The trajectories that the parity test goes through."""
    stacks = parametrized(test_trajectories.test_trained_weights_are_pytorchs, "stack")
    return [case for stack in stacks for case in STACKS[stack]]


def trained_layers() -> list[Module]:
    """A layer of each kind that the trajectories have, and more."""
    networks = {Case(case.network, case.activation) for case in trained()}
    return [layer for case in networks for layer in layers_of(case)]


def datasets_with_tests() -> set[str]:
    """Data sets that a test of theirs loads by name."""
    lines = [line for path in DATA_TESTS.glob("test_*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    calls = "\n".join(line for line in lines if "import" not in line)
    return {name for name in choices("dataset") if re.search(rf"(?<![\"'\w]){name}\b(?=[(,])", calls)}


def with_parity() -> dict[str, set[str]]:
    """Group -> choices that are held against PyTorch or a loop from the formula."""
    cases = trained()
    return {
        "activation": {ACTIVATIONS[case.activation].choice for case in cases},
        "architecture": {NETWORKS[case.network].architecture or "" for case in cases},
        "augmentation": {AUGMENTATIONS[case.augmentation].choice for case in cases},
        "dataset": datasets_with_tests(),
        "initializer": set(parametrized(test_initializer_parity.test_each_weight_is_the_formulas, "choice")),
        "loss": {LOSSES[case.loss].choice for case in cases},
        "optimizer": {OPTIMIZERS[case.optimizer].choice for case in cases},
        "schedule": {case.schedule for case in cases},
    }


def with_derivative() -> dict[str, set[Any]]:
    """Group -> what the central differences go through: the targets of its choices, or the choices themselves."""
    return {
        "activation": {
            type(test_gradients.ACTIVATIONS[name]()) for name in parametrized(test_gradients.test_activation, "name")
        },
        "architecture": {
            component("architecture", choice)
            for name in parametrized(test_gradients.test_architecture, "name")
            if (choice := NETWORKS[name].architecture)
        },
        "loss": {type(test_gradients.LOSSES[name]()) for name in parametrized(test_gradients.test_loss, "name")},
    }


def kinds_of(layers: Iterable[Module]) -> set[type]:
    """The layers' classes, those that they are made of and those that they derive from."""
    kinds: set[type] = set()
    for layer in layers:
        kinds |= set(type(layer).__mro__) | kinds_of(part for part in vars(layer).values() if isinstance(part, Module))
    return kinds


def shipped(base: type, package: Any) -> set[type]:
    """Every class of a package that derives from ``base``, exported or not."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")

    def below(kind: type) -> set[type]:
        subclasses: list[type] = kind.__subclasses__()
        return {kind}.union(*(below(each) for each in subclasses))

    return {kind for kind in below(base) - {base} if kind.__module__.startswith(f"{package.__name__}.")}


def missing(wanted: Iterable[Any], covered: Iterable[Any]) -> list[str]:
    return sorted(str(getattr(each, "__qualname__", each)) for each in set(wanted) - set(covered))


def test_every_group_of_conf_is_known_here() -> None:
    groups = {path.name for path in paths.conf_dir().iterdir() if path.is_dir()} - NO_COMPONENTS.keys()
    assert groups == with_parity().keys(), "say here how the components of a new group are checked"
    assert groups == NO_GRADIENT.keys() ^ with_derivative().keys()


@pytest.mark.parametrize("group", with_parity())
def test_every_component_has_a_parity_test(group: str) -> None:
    found = missing(choices(group), with_parity()[group])
    assert not found, f"no parity entry for {group}={', '.join(found)}"


@pytest.mark.parametrize("group", with_derivative())
def test_every_component_that_a_gradient_passes_has_central_differences(group: str) -> None:
    covered = with_derivative()[group]
    found = [choice for choice in choices(group) if component(group, choice) not in covered]
    assert not found, f"no central differences for {group}={', '.join(found)}"


def test_every_layer_has_both() -> None:
    layers = shipped(Module, nnlab.nn)
    assert not missing(layers, kinds_of(trained_layers())), "no trajectory has such a layer"
    alone = kinds_of(LAYERS[name].make() for name in parametrized(test_gradients.test_layer, "name"))
    assert not missing(layers, alone), "no central differences"


def test_every_loss_has_both() -> None:
    losses = shipped(Loss, nnlab.nn)
    assert not missing(losses, (component("loss", name) for name in with_parity()["loss"])), "no trajectory"
    assert not missing(losses, with_derivative()["loss"]), "no central differences"


def test_every_optimizer_has_trajectories() -> None:
    covered = (component("optimizer", name) for name in with_parity()["optimizer"])
    assert not missing(shipped(Optimizer, nnlab.optim), covered), "no trajectory"


def test_what_has_no_entry_is_named() -> None:
    """The check itself: a component, a layer and a loss more than the tests go through."""
    assert missing([*choices("schedule"), "sawtooth"], with_parity()["schedule"]) == ["sawtooth"]
    without_convolutions = kinds_of(layer for layer in trained_layers() if type(layer) is not Conv2d)
    assert missing(shipped(Module, nnlab.nn), without_convolutions) == ["Conv2d"]
    assert missing(shipped(Loss, nnlab.nn), [component("loss", "mse")]) == ["CrossEntropy", "Hinge", "Quadratic"]


def settings_with_parity() -> set[tuple[str, str, str]]:
    """(group, choice, argument) of everything that some trajectory or reference sets."""
    found: set[tuple[str, str, str]] = set()
    for case in trained():
        network = NETWORKS[case.network]
        used: dict[str, tuple[str, Iterable[str]]] = {
            "activation": ACTIVATIONS[case.activation],
            "architecture": (network.architecture or "", network.arguments),
            "augmentation": AUGMENTATIONS[case.augmentation],
            "loss": LOSSES[case.loss],
            "optimizer": (
                OPTIMIZERS[case.optimizer].choice,
                {**OPTIMIZERS[case.optimizer][1], **CLIPPING[case.clipping]},
            ),
            "schedule": (case.schedule, SCHEDULES[case.schedule][case.per]),
        }
        found |= {(group, choice, name) for group, (choice, arguments) in used.items() for name in arguments}
    for choice, reference in test_initializer_parity.INITIALIZERS.items():
        found |= {("initializer", choice, name) for name in reference.arguments}
    return found


def test_every_setting_of_every_component_is_set_in_a_parity_test() -> None:
    settings = {
        (group, choice, parameter.name)
        for group in with_parity().keys() - {"dataset"}
        for choice in choices(group)
        for parameter in inspect.signature(component(group, choice)).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert settings - settings_with_parity() == OUTSIDE_PYTORCH.keys()
