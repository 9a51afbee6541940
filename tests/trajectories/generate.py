"""Train every case in PyTorch and store the data, the weights of epoch 0 and the trained ones.

    python tests/trajectories/generate.py           # writes tests/trajectories/trajectories.npz
    python tests/trajectories/generate.py --check   # trains again and compares with that file; 1 if they differ

Needs ``pip install -e '.[torch]'``; the tests themselves don't: they replay the file.

The file has ``x`` [samples, features], ``labels`` [samples], ``initial/<parameter>`` shared by all cases, ``cases``
[cases, 5] (see ``cases.Case``) and ``final`` [cases, parameters], each row the four parameters one after the other.
The same PyTorch writes the same bytes; another machine's may differ in the last bits, so ``--check`` allows 1e-12.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import lr_scheduler

from tests.trajectories import cases
from tests.trajectories.cases import CASES, EPOCHS, LR, NAMES, OPTIMIZERS, SCHEDULES, STEPS_PER_EPOCH, UPDATES, Case

Arrays = dict[str, NDArray[Any]]

ACTIVATIONS: dict[str, Any] = {
    "identity": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
}


def problem() -> Arrays:
    """Draw three overlapping clusters and the weights to start from."""
    rng = np.random.default_rng(20240)
    labels = np.arange(cases.SAMPLES) % cases.CLASSES
    x = rng.normal(0, 0.8, (cases.SAMPLES, cases.FEATURES))
    x += rng.normal(0, 0.8, (cases.CLASSES, cases.FEATURES))[labels]
    sizes = {
        "0.weight": (cases.HIDDEN, cases.FEATURES),
        "0.bias": (cases.HIDDEN,),
        "2.weight": (cases.CLASSES, cases.HIDDEN),
        "2.bias": (cases.CLASSES,),
    }
    initial = {f"initial/{name}": rng.uniform(-0.7, 0.7, sizes[name]) for name in NAMES}
    return {"x": x, "labels": labels, **initial}


def loss_of(name: str, outputs: Any, labels: Any) -> Any:
    """Return the loss of a batch; ``quadratic`` has no class of PyTorch's."""
    targets = torch.nn.functional.one_hot(labels, cases.CLASSES).to(outputs.dtype)
    values = {
        "cross_entropy": lambda: torch.nn.CrossEntropyLoss()(outputs, labels),
        "mse": lambda: torch.nn.MSELoss()(outputs, targets),
        "quadratic": lambda: ((outputs - targets) ** 2).sum(dim=1).mean() / 2,
    }
    return values[name]()


def scheduler_of(case: Case, optimizer: Any) -> Any:
    """Return PyTorch's own scheduler where it has one."""
    settings = SCHEDULES[case.schedule][case.per]
    total = UPDATES if case.per == "update" else EPOCHS
    made = {
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, total, eta_min=LR * settings.get("final", 0.0)),
        "exponential": lambda: lr_scheduler.ExponentialLR(optimizer, settings["gamma"]),
        "inverse": lambda: lr_scheduler.LambdaLR(
            optimizer, lambda t: 1 / (1 + settings["gamma"] * t) ** settings["power"]
        ),
        "linear_warmup": lambda: lr_scheduler.LinearLR(
            optimizer, start_factor=settings["start"], total_iters=int(settings["warmup"])
        ),
        "step": lambda: lr_scheduler.StepLR(optimizer, int(settings["step_size"]), settings["gamma"]),
    }
    return made[case.schedule]()


class CaffeSGD(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """v = momentum v + lr g, w = w - v: the learning rate inside the velocity, which PyTorch does not have."""

    def __init__(self, groups: Any, lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    def step(self, closure: Any = None) -> None:
        """Update once."""
        with torch.no_grad():
            for group in self.param_groups:
                for w in group["params"]:
                    v = self.state[w].setdefault("velocity", torch.zeros_like(w))
                    g = w.grad + group["weight_decay"] * w
                    v.mul_(group["momentum"]).add_(group["lr"] * g)
                    w.sub_(v)


def optimizer_of(case: Case, network: Any) -> Any:
    """Return PyTorch's SGD, with a parameter group of its own for what does not decay."""
    settings = dict(OPTIMIZERS[case.optimizer])
    weight_decay, decay = settings.pop("weight_decay", 0.0), settings.pop("decay", "all")
    named = list(network.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": weight_decay},
        {
            "params": [p for name, p in named if name.endswith("bias")],
            "weight_decay": weight_decay if decay == "all" else 0.0,
        },
    ]
    if settings.pop("velocity", "lr_outside") == "lr_inside":
        return CaffeSGD(groups, lr=LR, **settings)
    return torch.optim.SGD(groups, lr=LR, **settings)


def train(case: Case, arrays: Arrays) -> NDArray[np.float64]:
    """Return the parameters after ``EPOCHS`` epochs, one after the other."""
    network = torch.nn.Sequential(
        torch.nn.Linear(cases.FEATURES, cases.HIDDEN),
        ACTIVATIONS[case.activation](),
        torch.nn.Linear(cases.HIDDEN, cases.CLASSES),
    ).double()
    network.load_state_dict({name: torch.tensor(arrays[f"initial/{name}"]) for name in NAMES})
    x, labels = torch.tensor(arrays["x"]), torch.tensor(arrays["labels"])
    optimizer = optimizer_of(case, network)
    scheduler = scheduler_of(case, optimizer)
    for _ in range(EPOCHS):
        for step in range(STEPS_PER_EPOCH):
            rows = slice(step * cases.BATCH_SIZE, (step + 1) * cases.BATCH_SIZE)
            optimizer.zero_grad()
            loss_of(case.loss, network(x[rows]), labels[rows]).backward()
            optimizer.step()
            if case.per == "update":
                scheduler.step()
        if case.per == "epoch":
            scheduler.step()
    return np.concatenate([network.state_dict()[name].numpy().ravel() for name in NAMES])


def generate() -> Arrays:
    """Return what the file holds."""
    torch.set_num_threads(1)
    arrays = problem()
    arrays["cases"] = np.array(CASES, "S")
    arrays["final"] = np.stack([train(case, arrays) for case in CASES])
    return arrays


def differences(new: Arrays) -> list[str]:
    """Name the arrays that the stored file lacks or has otherwise."""
    with np.load(cases.FILE, allow_pickle=False) as stored:
        names = [name for name in new if name not in stored] + [name for name in stored if name not in new]
        for name in new.keys() & stored.keys():
            one, other = new[name], stored[name]
            is_text = one.dtype.kind == "S"
            if one.shape != other.shape or (
                (one != other).any() if is_text else not np.allclose(one, other, rtol=0, atol=1e-12)
            ):
                names.append(name)
    return names


def main() -> int:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the stored file instead of writing it")
    is_check = parser.parse_args().check
    arrays = generate()
    if is_check:
        differing = differences(arrays)
        print(f"{cases.FILE} differs in {', '.join(differing)}" if differing else f"{cases.FILE} is right")  # noqa: T201
        return 1 if differing else 0
    np.savez(cases.FILE, allow_pickle=False, **arrays)
    print(f"{cases.FILE}: {len(CASES)} trajectories, {cases.FILE.stat().st_size} bytes")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
